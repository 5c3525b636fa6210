// A small world on the real kernel: a host and three pods with devices that share names, MACs, indices and parents, and what pods and the
// host's root do to them. Every device has a serial number that nobody can change and podnic does not look at: its number of transmit
// queues.

import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { CLONE_NEWNET } from "../../../src/host/constants.ts";
import { host } from "../../../src/host/host.ts";
import { Random } from "../../../src/testing/random.ts";
import { sh } from "../../../src/testing/sandbox.ts";

/** One device, as `ip` shows it. */
export interface Device {
  serial: number;
  /** Name of its namespace; "": the host. */
  space: string;
  name: string;
  index: number;
  mac: string;
  alias: string;
  kind: string;
  mtu: number;
  master: string;
  /** What it is made on, when that is in the same namespace. */
  parent: string;
  /** Of a VLAN. */
  id: number;
}

export interface Loan {
  container: string;
  ifName: string;
  pod: string;
  /** The pod's namespace: a path may be given again. */
  generation: number;
  /** The device as it was on the host. */
  was: Device;
}

const PODS = ["p1", "p2", "p3"];
const NAMES = ["eth0", "eth1", "eth2", "net1", "net2", "pv.100", "dev3"];
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"];
/** What worlds are made on; it stays where it is. */
const BASES = ["base0", "base1"];
/** Fewer are the kernel's own devices. */
const FIRST_SERIAL = 20;

/** Kinds of which this kernel can make one: on a veth, for most of them do not go on loopback. */
export function kindsHere(): string[] {
  const tries = ["veth", "macvlan", "passthru", "port", "vlan", "dummy", "ipvlan"];
  sh("ip link add probe1 type veth peer name probe2");
  const found = tries.filter((kind) => {
    const made = ip(`link add probe0 ${recipe(kind, "probe1", "type veth peer name probe3", 5)}`);
    if (made) sh("ip link del probe0");
    return made;
  });
  sh("ip link del probe1");
  return found;
}

function recipe(kind: string, on: string, veth: string, id: number): string {
  if (kind === "veth" || kind === "port") return veth;
  if (kind === "passthru") return `link ${on} type macvlan mode passthru`;
  if (kind === "macvlan") return `link ${on} type macvlan mode bridge`;
  if (kind === "vlan") return `link ${on} type vlan id ${id}`;
  return kind === "dummy" ? "type dummy" : `link ${on} type ${kind}`;
}

function ip(args: string): boolean {
  return spawnSync("ip", args.split(" "), { stdio: "ignore" }).status === 0;
}

const at = (space: string): string => (space === "" ? "" : `-n ${space} `);

export class KernelWorld {
  readonly draw: (below: number) => number;
  loans: Loan[] = [];
  /** Spaces that are there, with the number of times that their name was given; "" is the host. */
  readonly spaces = new Map<string, number>();
  /** Until something is done. */
  #seen: readonly Device[] | undefined;
  #serial = FIRST_SERIAL;
  #containers = 0;

  constructor(
    readonly seed: number,
    readonly kinds: readonly string[],
  ) {
    const random = new Random(seed);
    this.draw = (below) => random.below(below);
    freshHost();
    writeFileSync("/etc/cni/podnic.json", JSON.stringify({ devices: { allow: ["*"] } }));
    for (const base of BASES) sh(`ip link add ${base} type veth peer name ${base}p; ip link set ${base} up`);
    sh("ip link add br0 type bridge; ip link set br0 up");
    this.spaces.set("", 0);
    for (const pod of PODS) this.begin(pod);
    for (let n = 0; n < 6; n++) this.make("");
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from.length === 0 ? undefined : from[this.draw(from.length)];
  }

  begin(space: string): void {
    // The wire is gone when all that was in the namespace is.
    sh(`ip netns add ${space}; ip link add w${space} type veth peer name wire netns ${space}`);
    this.spaces.set(space, (this.spaces.get(space) ?? 0) + 1);
  }

  isAlive(space: string): boolean {
    return existsSync(`/run/netns/${space}`);
  }

  /** The pods that are there. */
  pods(): string[] {
    return PODS.filter((pod) => this.isAlive(pod));
  }

  /** All devices with a serial number, everywhere. */
  look(): readonly Device[] {
    this.#seen ??= this.lookAnew();
    return this.#seen;
  }

  private lookAnew(): Device[] {
    const spaces = [...this.spaces.keys()].filter((space) => space === "" || this.isAlive(space));
    const lines = sh(spaces.map((space) => `ip -d -j ${at(space)}link show`).join("\n"))
      .trim()
      .split("\n");
    return spaces.flatMap((space, n) =>
      // biome-ignore lint/suspicious/noExplicitAny: whatever ip prints
      JSON.parse(lines[n]!).flatMap((one: any): Device[] => {
        if (one.num_tx_queues < FIRST_SERIAL) return [];
        const { num_tx_queues: serial, ifname: name, ifindex: index, address: mac, mtu } = one;
        const { ifalias: alias = "", master = "", link: parent = "", linkinfo = {} } = one;
        const { info_kind: kind = "", info_data = {} } = linkinfo;
        return [{ serial, space, name, index, mac, alias, kind, mtu, master, parent, id: info_data.id ?? 0 }];
      }),
    );
  }

  make(space: string): void {
    this.#seen = undefined;
    const kind = space === "" ? this.pick(this.kinds)! : "veth";
    const name = this.name();
    const [serial, peer] = [this.#serial++, this.#serial++];
    const index = this.draw(2) === 0 ? "" : `index ${100 + this.draw(6)} `;
    const mac = kind === "ipvlan" ? "" : `address ${this.pick(MACS)} `;
    const veth = `type veth peer name v${peer} numtxqueues ${peer}`;
    const how = recipe(kind, this.pick(BASES)!, veth, 100 + this.draw(2));
    const made = ip(`${at(space)}link add ${name} ${index}${mac}numtxqueues ${serial} ${how}`);
    if (made && kind === "port") ip(`link set ${name} master br0`);
  }

  /** What root in a pod does to what is there, or root on the host. */
  tamper(space: string): void {
    const device = this.pick(this.look().filter((one) => one.space === space));
    if (device === undefined) return;
    this.#seen = undefined;
    const set = (what: string): boolean => ip(`${at(space)}link set dev ${device.name} ${what}`);
    switch (this.draw(7)) {
      case 0:
        set("down");
        set(`name ${this.name()}`);
        break;
      case 1:
        set(`address ${this.pick(MACS)}`);
        break;
      case 2:
        set(`alias ${this.pick(NAMES)}`);
        break;
      case 3:
        if (space !== "" || this.draw(2) === 0) ip(`${at(space)}link del ${device.name}`);
        break;
      case 4:
      case 5:
        this.imitate(device);
        break;
      default:
        this.carryOff(device);
    }
  }

  /** Names that are wanted again are those of devices that are away. */
  name(): string {
    const lent = this.draw(2) === 0 ? this.pick(this.loans) : undefined;
    return lent?.was.name ?? this.pick(NAMES)!;
  }

  /**
   * The device is deleted, or renamed, and another is made that is all that one can choose. On the host it can be made on the same parent.
   */
  imitate({ space, name, index, mac, alias, kind, mtu, parent, id }: Device): void {
    const isReplaced = this.draw(2) === 0;
    const old = `${at(space)}link set dev ${name}`;
    if (isReplaced) ip(`${at(space)}link del ${name}`);
    else if (ip(`${old} down`)) ip(`${old} name y${this.#serial}`);
    const [serial, peer] = [this.#serial++, this.#serial++];
    const veth = `type veth peer name v${peer} numtxqueues ${peer}`;
    const on = recipe(kind, parent || "lo", veth, id || 100);
    const number = isReplaced ? `index ${index} ` : "";
    const how = kind !== "veth" && kind !== "dummy" && parent === "" ? veth : on;
    if (!ip(`${at(space)}link add ${name} ${number}address ${mac} numtxqueues ${serial} ${how}`)) return;
    if (alias !== "") ip(`${at(space)}link set dev ${name} alias ${alias}`);
    ip(`${at(space)}link set dev ${name} mtu ${mtu}`);
  }

  /** To a namespace that the pod made; by root on the host to another pod, or back to the host. */
  carryOff({ space, name }: Device): void {
    if (space === "") return;
    const byPod = this.draw(2) === 0;
    if (byPod && !this.spaces.has(`${space}x`)) this.begin(`${space}x`);
    const target = byPod ? `${space}x` : this.pick(["", ...this.pods().filter((pod) => pod !== space)])!;
    if (target === "") ip(`-n ${space} link set dev ${name} netns ${process.pid}`);
    else ip(`-n ${space} link set dev ${name} netns ${target}`);
  }

  /** A namespace ends, all of it; half of the time its path is given to another pod. */
  end(space: string): void {
    this.#seen = undefined;
    sh(`ip netns del ${space}; n=0
        while [ -e /sys/class/net/w${space} ]; do n=$((n + 1)); [ $n -lt 500 ] || exit 1; sleep 0.01; done`);
    if (this.draw(2) === 0) this.begin(space);
  }

  /** undefined: there was nothing to lend, or nowhere to. */
  drawLoan(devices: readonly Device[]): Loan | undefined {
    const free = devices.filter(
      ({ space, serial }) => space === "" && !this.loans.some((l) => l.was.serial === serial),
    );
    const [was, pod] = [this.pick(free), this.pick(this.pods())];
    if (was === undefined || pod === undefined) return undefined;
    const container = `c${++this.#containers}`;
    return { container, ifName: this.pick(NAMES)!, pod, generation: this.spaces.get(pod)!, was };
  }

  /** The shipped executable, as a runtime calls it. "": success; otherwise what it said. */
  call(command: string, { container, ifName, pod, was }: Loan, withPath = true): string {
    this.#seen = undefined;
    const bin = resolve("dist/cni");
    const run = spawnSync(`${bin}/host-device`, {
      env: {
        CNI_COMMAND: command,
        CNI_CONTAINERID: container,
        CNI_NETNS: withPath ? `/run/netns/${pod}` : "",
        CNI_IFNAME: ifName,
        CNI_PATH: bin,
      },
      input: JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "host-device", device: was.name }),
      encoding: "utf8",
      timeout: 30_000,
    });
    if (run.status === 0) return "";
    return run.stdout || `status ${run.status} ${run.signal} ${run.stderr}`;
  }
}

/** This process gets a network namespace of its own once more, without pods and state; the last one ends with what was in it. */
function freshHost(): void {
  host.unshare(CLONE_NEWNET);
  sh(`umount -l /sys; mount -t sysfs sysfs /sys; ip link set lo up; rm -rf /var/lib/cni/*
      for ns in $(ip netns list | cut -d' ' -f1); do ip netns del $ns; done`);
}
