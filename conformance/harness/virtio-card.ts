// A virtio-net card with virtual functions (conformance/vm/run --virtio N), lent to one case: its PF knows no attributes of functions, and
// each bind gives a function another number (virtioN), which is what the kernel says a link is plugged into.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { NotRunnable } from "./case.ts";
import type { Sandbox } from "./sandbox.ts";

const PCI = "/sys/bus/pci/devices";
const PATIENCE = 120_000;

export interface VirtioCard {
  readonly pf: string;
  readonly pfPci: string;
  /** PCI addresses of the functions; the interface of number n is called `vf<n>` in the case's namespace. */
  readonly vfs: readonly string[];
}

/** PCI addresses of cards that can be lent; none outside of the guest. */
export function virtioCards(): string[] {
  if (process.env.PODNIC_VM === undefined) return [];
  return readdirSync(PCI).filter(
    (pci) => existsSync(`${PCI}/${pci}/sriov_totalvfs`) && readdirSync(`${PCI}/${pci}`).some(isVirtio),
  );
}

const isVirtio = (name: string): boolean => name.startsWith("virtio");
const outside = (script: string): boolean => spawnSync("/bin/sh", ["-ec", script], { stdio: "ignore" }).status === 0;
const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const retried = (command: string): string =>
  `for i in $(seq 100); do if (${command}); then exit; fi; sleep 0.1; done; exit 1`;

/**
 * Borrows a free card with all its functions, made anew, in the case's namespace.
 * @throws NotRunnable when there is none
 */
export function borrowVirtio(t: Sandbox): VirtioCard {
  const [pf, pfPci] = claim(t);
  const device = `${PCI}/${pfPci}`;
  const count = readFileSync(`${device}/sriov_totalvfs`, "utf8").trim();
  t.sh(`echo 0 >${device}/sriov_numvfs; echo ${count} >${device}/sriov_numvfs; ip link set ${pf} up`);
  const vfs = Array.from({ length: Number(count) }, (_, n) => basename(readlinkSync(`${device}/virtfn${n}`)));
  const card = { pf, pfPci, vfs };
  for (const n of vfs.keys()) fetch(t, card, n, `vf${n}`);
  return card;
}

function claim(t: Sandbox): [name: string, pci: string] {
  const end = Date.now() + PATIENCE;
  do {
    for (const pci of virtioCards()) {
      const directory = `${PCI}/${pci}`;
      const net = `${directory}/${readdirSync(directory).find(isVirtio)}/net`;
      const name = existsSync(net) ? readdirSync(net)[0] : undefined;
      if (name !== undefined && outside(`ip link set ${name} netns ${t.ns.pid} name pf0`)) return ["pf0", pci];
    }
    pause(200);
  } while (Date.now() < end);
  throw new NotRunnable("no virtio card became free");
}

/** The host's interface of function `n` comes into the case's namespace, where it is called `name`; a node has only one namespace. */
export function fetch(t: Sandbox, card: VirtioCard, n: number, name: string): void {
  const net = `$(ls -d ${PCI}/${card.vfs[n]}/virtio*/net)`;
  const script = `name=$(ls ${net}); [ -n "$name" ]; ip link set $name down; ip link set $name netns ${t.ns.pid} name ${name}`;
  if (!outside(retried(script))) throw new Error(`${card.vfs[n]} has no interface on the host`);
}

/** Takes the functions' driver away and gives it back, in the order given: they come up on the host, as eth<n>, with new numbers. */
export function rebind(
  t: Sandbox,
  card: VirtioCard,
  unbound: readonly number[],
  bound: readonly number[] = unbound,
): void {
  const driver = "/sys/bus/pci/drivers/virtio-pci";
  for (const n of unbound) t.sh(`echo ${card.vfs[n]} >${driver}/unbind`);
  for (const n of bound) t.sh(`echo ${card.vfs[n]} >${driver}/bind`);
}

/** What the kernel calls function `n` today. */
export function virtioOf(card: VirtioCard, n: number): string {
  return readdirSync(`${PCI}/${card.vfs[n]}`).find(isVirtio) ?? "";
}

/** Name, address, alias, alternative names, MTU, queue length and state of function `n`, wherever in the case's namespace it is. */
export function virtioPicture(t: Sandbox, card: VirtioCard, n: number): Record<string, unknown> {
  const links = JSON.parse(t.sh("ip -j -d link show")) as Record<string, unknown>[];
  const link = links.find(({ parentdev }) => parentdev === virtioOf(card, n));
  if (link === undefined) return { missing: card.vfs[n] };
  const { ifname, address, ifalias = "", altnames = [], mtu, txqlen, promiscuity } = link;
  const up = (link.flags as string[]).includes("UP");
  return { ifname, address, ifalias, altnames, mtu, txqlen, promiscuity, up };
}
