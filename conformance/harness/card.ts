// A network card with virtual functions, lent to one case: it moves into the case's network namespace, with its functions made anew.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { NotRunnable } from "./case.ts";
import { fetchNetdevsim, isNetdevsim, makeNetdevsimCard } from "./netdevsim-card.ts";
import type { Sandbox } from "./sandbox.ts";

const NET = "/sys/class/net";
const PCI = "/sys/bus/pci/devices";
/** Milliseconds to wait for a card that another case has. */
const PATIENCE = 120_000;

export interface Card {
  /** The physical function's interface. */
  readonly pf: string;
  readonly pfPci: string;
  /** PCI addresses of the virtual functions; interface number n is called `vf<n>`. */
  readonly vfs: readonly string[];
}

/** What `ip -j -d link show PF` says of one virtual function. */
export type VfInfo = Readonly<Record<string, unknown>>;

/** Interfaces of cards that can be lent. Only in the guest: elsewhere a card may be what somebody reaches the machine by. */
export function lendableCards(): string[] {
  if (process.env.PODNIC_VM === undefined) return [];
  // Each case makes its own.
  if (isNetdevsim()) return ["netdevsim"];
  return readdirSync(NET).filter((name) => existsSync(`${NET}/${name}/device/sriov_totalvfs`));
}

/** Whether there is a card at all. Its interface may still be on its way back from the case before, which borrowCard waits for. */
export function hasCard(): boolean {
  if (process.env.PODNIC_VM === undefined) return false;
  return isNetdevsim() || readdirSync(PCI).some((pci) => existsSync(`${PCI}/${pci}/sriov_totalvfs`));
}

const outside = (script: string): boolean => spawnSync("/bin/sh", ["-ec", script], { stdio: "ignore" }).status === 0;
const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** Namespaces to lend it to, and a shell in them that throws when a command fails. */
export type Where = Pick<Sandbox, "sh"> & { readonly ns: Pick<Sandbox["ns"], "pid"> };

/**
 * Borrows a free card, with functions as they are when they are made. The kernel takes all back when the case's namespaces end.
 * @throws NotRunnable when there is none
 */
export function borrowCard(t: Where, functions = 2): Card {
  if (isNetdevsim()) return makeNetdevsimCard(t, functions);
  const [pf, pci] = claim(t.ns.pid);
  resetPhysical(t, pf);
  const device = `${PCI}/${pci}`;
  // Functions are told whether the PF has a link when they are made, and rates need one.
  t.sh(`ip link set ${pf} up; for i in $(seq 60); do ip link show ${pf} | grep -q LOWER_UP && break; sleep 0.1; done`);
  const makeAnew = () => t.sh(`echo 0 >${device}/sriov_numvfs; echo ${functions} >${device}/sriov_numvfs`);
  const collect = (tries: number) => {
    const vfs = functionsOf(device, functions);
    for (const [n, vf] of vfs.entries()) fetchFunction(t, pf, vf, n, tries);
    return vfs;
  };
  // Making them anew takes seconds.
  const isUsable = hasInterfaces(device, functions);
  if (!isUsable) makeAnew();
  try {
    return { pf, pfPci: pci, vfs: collect(isUsable ? 6 : 20) };
  } catch (error) {
    // What another plugin leaves (half a configuration, an address that only one side has) is not always undone from outside. It must not
    // be the next case's fault.
    console.error(`${pf}: its functions are made anew: ${error}`);
    makeAnew();
    return { pf, pfPci: pci, vfs: collect(20) };
  }
}

/** Function `n` comes into the case's namespace, as it is when it is made. */
function fetchFunction(t: Where, pf: string, vf: string, n: number, tries: number): void {
  const moved = `name=$(ls ${PCI}/${vf}/net); ip link set $name down; ip link set $name netns ${t.ns.pid} name vf${n}`;
  if (!outside(`for i in $(seq 50); do if (${moved}); then exit; fi; sleep 0.1; done; exit 1`))
    throw new Error(`${vf} has no interface`);
  reset(t, pf, n, tries);
}

/** What the case before may have left on the PF itself. */
function resetPhysical(t: Where, pf: string): void {
  const [link = {}] = JSON.parse(t.sh(`ip -j link show ${pf}`)) as { altnames?: string[]; permaddr?: string }[];
  const lines = [
    `link set ${pf} nomaster`,
    ...(link.altnames ?? []).map((name) => `link property del dev ${pf} altname ${name}`),
    ...(link.permaddr === undefined ? [] : [`link set ${pf} address ${link.permaddr}`]),
    `link set ${pf} mtu 1500 txqueuelen 1000 promisc off allmulticast off`,
  ];
  t.sh(`ip link set ${pf} alias ''; ip -batch - <<'EOF'\n${lines.join("\n")}\nEOF`);
}

const functionsOf = (device: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => basename(readlinkSync(`${device}/virtfn${n}`)));

/**
 * Whether the card has that many functions already, all of them back with their interfaces. Before Linux 6.7 nobody can take away an alternative
 * name that an interface got in a namespace which has ended.
 */
function hasInterfaces(device: string, functions: number): boolean {
  if (readFileSync(`${device}/sriov_numvfs`, "utf8").trim() !== String(functions)) return false;
  const vfs = functionsOf(device, functions);
  const back = vfs.map((vf) => `ls ${PCI}/${vf}/net | grep -q .`);
  return outside(`for i in $(seq 20); do if ${back.join(" && ")}; then break; fi; sleep 0.1; done
    for vf in ${vfs.join(" ")}; do
      name=$(ls ${PCI}/$vf/net | grep .)
      for alt in $(ip link show $name | sed -n 's/^ *altname //p'); do ip link property del dev $name altname $alt; done
    done`);
}

/**
 * What the case before may have left. Its address stays: any will do. A function asks its PF for its address when it goes down and
 * not when it goes up, and a PF that was moved or reset a moment ago refuses until it has: so down, until both have the same.
 * Without it the card drops what is sent to the function.
 */
function reset(t: Where, pf: string, n: number, tries: number): void {
  const [link] = JSON.parse(t.sh(`ip -j link show vf${n}`)) as { altnames?: string[] }[];
  const [physical] = JSON.parse(t.sh(`ip -j link show ${pf}`)) as {
    vfinfo_list?: { vf: number; rate?: { max_tx: number } }[];
  }[];
  const vf = physical?.vfinfo_list?.find((one) => one.vf === n);
  // igb of Linux 5.10 refuses any rate while its link is down.
  const rate = vf?.rate?.max_tx === 0 ? [] : ["max_tx_rate 0"];
  const lines = [
    ...(link?.altnames ?? []).map((name) => `link property del dev vf${n} altname ${name}`),
    `link set vf${n} mtu 1500 txqueuelen 1000 promisc off allmulticast off`,
    ...["mac 00:00:00:00:00:00", "vlan 0", ...rate, "spoofchk on", "trust off"].map(
      (setting) => `link set ${pf} vf ${n} ${setting}`,
    ),
  ];
  t.sh(`ip link set vf${n} alias ''; ip -batch - <<'EOF'\n${lines.join("\n")}\nEOF
    for i in $(seq ${tries}); do
      ip link set vf${n} up; ip link set vf${n} down
      if ${known(pf, n, `$(cat ${NET}/vf${n}/address)`)}; then exit; fi
      sleep 0.2
    done; exit 1`);
}

/** Shell: the PF has the address `mac` for function `n`. */
const known = (pf: string, n: number, mac: string): string =>
  `ip link show ${pf} | grep -q "vf ${n} .*link/ether ${mac} "`;

/** Gives function `n` an address, pinned by its PF, and leaves its interface down. */
export function giveAddress(t: Sandbox, { pf }: Card, n: number, mac: string): void {
  if (isNetdevsim()) {
    t.sh(`ip link set vf${n} down; ip link set vf${n} address ${mac}; ip link set ${pf} vf ${n} mac ${mac}`);
    return;
  }
  t.sh(`ip link set vf${n} down
    for i in $(seq 20); do
      if ip link set vf${n} address ${mac} && ${known(pf, n, mac)}; then break; fi
      ip link set ${pf} vf ${n} mac 00:00:00:00:00:00; ip link set vf${n} up; ip link set vf${n} down; sleep 0.2
    done
    ip link set ${pf} vf ${n} mac ${mac}; ip link show vf${n} | grep -q "link/ether ${mac} "`);
}

/** undefined: another case has taken it meanwhile. */
function pciOf(name: string): string | undefined {
  try {
    return basename(readlinkSync(`${NET}/${name}/device`));
  } catch {
    return undefined;
  }
}

/** Moving is what decides between two cases that want the same card. */
function claim(holder: number): [name: string, pci: string] {
  if (process.env.PODNIC_VM === undefined) throw new NotRunnable("no card to lend outside conformance/vm");
  const end = Date.now() + PATIENCE;
  for (;;) {
    for (const name of lendableCards()) {
      const pci = pciOf(name);
      if (pci !== undefined && outside(`ip link set ${name} netns ${holder}`)) return [name, pci];
    }
    if (Date.now() > end) throw new NotRunnable("no network card became free");
    pause(200);
  }
}

/**
 * Ends a pod's namespace while function `n` is in it. The kernel then hands the function to the initial namespace, under its name
 * in the pod, or as dev<index> when that is taken; on a node that is the host's, so it is brought into the case's.
 */
export function outliveNetns(t: Sandbox, card: Card, n: number, pod: string): void {
  t.sh(`ip netns del ${pod}`);
  if (isNetdevsim()) {
    fetchNetdevsim(t, n);
    return;
  }
  const move = `ip link set $name netns ${t.ns.pid}`;
  const fetch = `name=$(ls ${PCI}/${card.vfs[n]}/net); [ -n "$name" ] && (${move} || ${move} name dev$(cat ${NET}/$name/ifindex))`;
  if (!outside(`for i in $(seq 100); do if ${fetch}; then exit; fi; sleep 0.1; done; exit 1`))
    throw new Error(`${card.vfs[n]} did not come back from ${pod}`);
}

/** Gives function `n` to a driver of userspace. Call what is returned when done with it: the override would outlive the case. */
export function bindUserspace(t: Sandbox, card: Card, n: number, driver = "vfio-pci"): () => void {
  if (isNetdevsim()) throw new NotRunnable("no other driver can be bound to a VF of netdevsim");
  const pci = card.vfs[n]!;
  t.sh(`cd ${PCI}/${pci}; echo ${pci} >driver/unbind; echo ${driver} >driver_override
    [ -e driver ] || echo ${pci} >/sys/bus/pci/drivers/${driver}/bind`);
  return () => void t.sh(`cd ${PCI}/${pci}; echo >driver_override; echo ${pci} >driver/unbind`);
}

/** Virtual function `n`, as its physical function reports it. */
export function vfInfo(t: Sandbox, card: Card, n: number): VfInfo {
  const [link] = JSON.parse(t.sh(`ip -j -d link show ${card.pf}`)) as { vfinfo_list: VfInfo[] }[];
  const info = link!.vfinfo_list.find(({ vf }) => vf === n);
  if (info === undefined) throw new Error(`${card.pf} does not report function ${n}`);
  return info;
}

/** Everything about a virtual function that DEL must restore: its PF's view, and its interface with all properties. */
export function vfPicture(t: Sandbox, card: Card, n: number): Record<string, unknown> {
  const said = t.sh(`ip -j -d link show vf${n} 2>/dev/null || true`);
  const [link = {}] = (said.trim() === "" ? [] : JSON.parse(said)) as Record<string, unknown>[];
  const facts = Object.fromEntries(Object.entries(link).filter(([key]) => !FOLLOWS.has(key)));
  const flags = ((link.flags ?? []) as string[]).filter((flag) => !["LOWER_UP", "NO-CARRIER"].includes(flag));
  return { ...facts, flags, "on its PF": vfInfo(t, card, n) };
}

/** A move changes the index; the rest follows the UP flag, and igbvf's permanent address is what the PF gave it last. */
const FOLLOWS = new Set(["ifindex", "operstate", "qdisc", "flags", "permaddr", "link_netnsid"]);
