// Unplugs or renames the device of an ADD while the ADD runs, before each of its system requests. The ADD must end soon, in success or with an error
// that names the device. A failed ADD must leave nothing behind, and DEL must succeed in every case. ipvlan and virtual functions are available only
// in the guest: conformance/vm/run --igb 1 -- npx vitest run src/plugin/gone-midway.kernel.test.ts
import { basename } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { registerPlugins } from "../cni/registry.ts";
import { installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { main } from "../main.ts";
import { plugins } from "../plugins.ts";
import { EdgeHost } from "../testing/edge.ts";
import { effort } from "../testing/effort.ts";
import { enterSandbox, sh } from "../testing/sandbox.ts";

beforeAll(() => {
  registerPlugins(plugins);
  enterSandbox();
  sh(
    "mkdir -p /var/lib/cni /etc/cni; for dir in /var/lib/cni /etc/cni; do mount -t tmpfs tmpfs $dir; done; touch /run/netns/host; mount --bind /proc/self/ns/net /run/netns/host",
  );
});

const ipam = { type: "host-local", ranges: [[{ subnet: "198.18.77.0/28" }]] };
const configurations = {
  "host-device": { type: "host-device", device: "nic0" },
  macvlan: { type: "macvlan", master: "nic0" },
  ipvlan: { type: "ipvlan", master: "nic0" },
  sriov: { type: "sriov", deviceID: "" },
};
type Plugin = keyof typeof configurations;

interface Outcome {
  status: number;
  out: { code?: number; msg?: string; details?: string };
  stderr: string;
  /** The number of the call's system requests. */
  calls: number;
  ms: number;
}

/** Makes one call of a plugin in this process. `act` runs before the call's n-th system request. */
function run(plugin: Plugin, command: string, n = 0, act = () => {}): Outcome {
  const edge = new EdgeHost({
    args: [plugin],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/pod",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/nonexistent",
    },
    stdin: JSON.stringify({ cniVersion: "1.0.0", name: "net", ...configurations[plugin], ipam }),
  });
  let calls = 0;
  let acting = 0;
  const counting = new Proxy(edge, {
    get(target, key) {
      const member = target[key as keyof EdgeHost] as unknown;
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        if (++calls === n) {
          const before = Date.now();
          act();
          acting = Date.now() - before;
        }
        return member.apply(target, args);
      };
    },
  });
  installHost(counting);
  const start = Date.now();
  try {
    const status = main(
      () => 77,
      () => {},
    );
    const ms = Date.now() - start - acting;
    return { status, out: JSON.parse(edge.stdout || "{}"), stderr: edge.stderr, calls, ms };
  } finally {
    installHost(new NodeHost());
  }
}

/** The links in the pod. Leaves out the tunnel devices that the guest's kernel adds to each namespace, which have no lower device. */
const inPod = (): string => sh("ip -n pod -o link | grep -v -e ' lo:' -e @NONE: || true");
const onHost = (): string[] => sh("ls /sys/class/net").split("\n");
const leases = (): string[] => sh("ls /var/lib/cni/networks/net 2>/dev/null | grep ^198 || true").trim().split("\n");
const records = (): string[] =>
  sh("find /var/lib/cni/podnic /var/lib/cni/sriov -type f ! -name lock ! -name '*.lock' 2>/dev/null || true")
    .trim()
    .split("\n");

/** The sysfs directory of the card's physical function; "" outside the guest. */
const card = process.env.PODNIC_VM === undefined ? "" : cardOfGuest();

function cardOfGuest(): string {
  const found = sh("for file in /sys/class/net/*/device/sriov_totalvfs; do readlink -f $file || true; done").trim();
  return (
    found
      .split("\n")
      .find((file) => file.includes("/pci"))
      ?.replace(/\/sriov_totalvfs$/, "") ?? ""
  );
}

/** Outside the guest, these tests do not run, because they would use the machine's own interfaces. */
const guest = process.env.PODNIC_VM !== undefined;
const cannotRun = (plugin: Plugin): boolean => (plugin === "ipvlan" && !guest) || (plugin === "sriov" && card === "");

function plug(plugin: Plugin): void {
  sh(`rm -rf /var/lib/cni/*; for dev in wire nic0 nic9; do ip link del $dev 2>/dev/null || true; done
      ip netns del pod 2>/dev/null || true; ip netns add pod`);
  if (plugin !== "sriov") sh("ip link add nic0 type veth peer name wire; ip link set nic0 up; ip link set wire up");
  else plugFunction();
}

/** Creates the virtual function anew. The kernel puts its interface into the machine's first namespace. */
function plugFunction(): void {
  // A sysfs mount shows the interfaces of only one namespace.
  const pf = sh(`ls ${card}/net`).trim() || sh(`nsenter -t 1 -m -n ls ${card}/net`).trim();
  const first = "nsenter -t 1 -n ip link set";
  sh(`if ! ip link show ${pf} >/dev/null 2>&1; then ${first} ${pf} netns ${process.pid}; fi; ip link set ${pf} up
      echo 0 >${card}/sriov_numvfs; echo 1 >${card}/sriov_numvfs
      for i in $(seq 100); do name=$(nsenter -t 1 -m -n ls ${card}/virtfn0/net 2>/dev/null || true); test -z "$name" || break; sleep 0.1; done
      ${first} $name down; ${first} $name netns ${process.pid} name nic0; ip link set nic0 up`);
  configurations.sriov.deviceID = basename(sh(`readlink ${card}/virtfn0`).trim());
}

/** Works in the pod, too, because the other end (the cable) stays on the host. */
const unplug = (plugin: Plugin) =>
  void sh(plugin === "sriov" ? `echo 0 >${card}/sriov_numvfs` : "ip -n host link del wire");
/** Renames the device as udev does, which sees only the host's devices. */
const rename = () => void sh("ip -n host link set dev nic0 name nic9 2>/dev/null || true");

for (const plugin of Object.keys(configurations) as Plugin[])
  describe.skipIf(cannotRun(plugin))(plugin, () => tryEachStep(plugin));

function tryEachStep(plugin: Plugin): void {
  // A card takes seconds to create a virtual function.
  const step = effort(plugin === "sriov" ? 4 : 1, plugin === "sriov" ? 13 : 7);
  const named = (): RegExp =>
    plugin === "sriov" ? new RegExp(`nic0|eth0|${configurations.sriov.deviceID}`) : /nic0|eth0/;

  function points(): number[] {
    plug(plugin);
    const { status, calls } = run(plugin, "ADD");
    expect(status).toBe(0);
    expect(calls).toBeGreaterThan(60);
    // The points include the last one, at which everything is done.
    return Array.from({ length: Math.floor(calls / step) }, (_, n) => calls - n * step);
  }

  test("the device is deleted before each step of ADD", () => {
    const ended = { failed: 0, succeeded: 0 };
    for (const n of points()) {
      plug(plugin);
      const add = run(plugin, "ADD", n, () => unplug(plugin));
      const at = `step ${n}: ${JSON.stringify(add)}`;
      expect(add.ms, at).toBeLessThan(5000);
      if (add.status === 0) ended.succeeded++;
      else {
        ended.failed++;
        expect(add.out.code, at).toBeGreaterThan(0);
        expect(`${add.out.msg} ${add.out.details}`, at).toMatch(named());
        expect([inPod(), leases(), records()], at).toEqual(["", [""], [""]]);
      }
      const del = run(plugin, "DEL");
      expect([del.status, inPod(), leases(), records()], `${at}, DEL ${JSON.stringify(del)}`).toEqual([
        0,
        "",
        [""],
        [""],
      ]);
    }
    expect(Math.min(ended.failed, ended.succeeded), JSON.stringify(ended)).toBeGreaterThan(0);
  }, 300_000);

  test("the device is renamed before each step of ADD", () => {
    for (const n of points()) {
      plug(plugin);
      const add = run(plugin, "ADD", n, rename);
      const at = `step ${n}: ${JSON.stringify(add)}`;
      if (add.status !== 0) {
        expect(`${add.out.msg} ${add.out.details}`, at).toMatch(plugin === "sriov" ? named() : /nic0/);
        expect([inPod(), leases(), records()], at).toEqual(["", [""], [""]]);
      }
      const del = run(plugin, "DEL");
      expect([del.status, inPod(), leases(), records()], `${at}, DEL ${JSON.stringify(del)}`).toEqual([
        0,
        "",
        [""],
        [""],
      ]);
      const name = onHost().includes("nic9") ? "nic9" : "nic0";
      expect(sh(`ip -o link show dev ${name}`), at).toMatch(/[<,]UP[,>]/);
    }
  }, 300_000);
}
