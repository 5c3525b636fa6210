// sriov without hardware: the /sys of sriov-cni's own tests, with veths for the interfaces. All that is decided before a PF is asked,
// and what concerns the interface alone. What needs a real function is in sriov.ts, sriov-back.ts and sriov-state.ts.
import { type Case, type CaseTable, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

const PF = "0000:af:00.1";
const VF = "0000:af:06.1";
const STATE = "/var/lib/cni/sriov";

/** A card with two functions, the second enp175s7; and a device with two interfaces and no function. */
function fakeCard(t: Trial): void {
  t.sh(`mount -t tmpfs tmpfs /sys; mkdir -p /sys/bus/pci/devices /sys/class/net /sys/bus/pci/drivers/iavf
    cd /sys/bus/pci/devices; mkdir -p ${PF}/net/enp175s0f1 0000:05:00.0/net/ens1 0000:05:00.0/net/ens1d1
    echo 2 >${PF}/sriov_numvfs; echo 0 >0000:05:00.0/sriov_numvfs
    for n in 0 1; do
      mkdir -p 0000:af:06.$n/net/enp175s$((6 + n)); ln -s ../0000:af:06.$n ${PF}/virtfn$n
      ln -s ../${PF} 0000:af:06.$n/physfn; ln -s ../../drivers/iavf 0000:af:06.$n/driver
    done
    mkdir /sys/class/net/enp175s0f1; ln -s ../../../bus/pci/devices/${PF} /sys/class/net/enp175s0f1/device
    for name in enp175s0f1 enp175s6 enp175s7; do
      ip link add $name type veth peer name $name.p; ip link set $name.p up
    done
    ip link set enp175s0f1 up; ip link set enp175s7 mtu 1400 txqueuelen 500 alias mine; ip link property add dev enp175s7 altname other`);
}

const config = (keys: Config = {}): Config => ({
  cniVersion: "1.0.0",
  name: "net1",
  type: "sriov",
  deviceID: VF,
  vf: 0,
  ...keys,
});
const POOL = { type: "host-local", subnet: "10.55.206.0/26", routes: [{ dst: "0.0.0.0/0" }], gateway: "10.55.206.1" };

const one = (id: string, tag: Tag, requirement: string, expected: string, run: (t: Trial) => void): Case =>
  row(
    id,
    tag,
    requirement,
    expected,
    (t) => {
      fakeCard(t);
      run(t);
    },
    { needs: ["plugin:sriov", "plugin:host-local"] },
  );

const refuses = (id: string, requirement: string, keys: Config, codes: readonly number[] = [7]): Case =>
  one(id, "G", requirement, `${JSON.stringify(keys)}: E, untouched`, (t) => void t.refused("ADD", config(keys), codes));

/** Undone or done: the interface as before, no state, no lease. */
function restored(t: Trial, body: () => void): void {
  const before = t.picture();
  body();
  t.unchangedSince(before);
}

function cycle(t: Trial): void {
  const mac = t.link("enp175s7", "")!.mac;
  restored(t, () => {
    const conf = config({ ipam: POOL });
    const prevResult = t.add(conf);
    const [own] = prevResult.interfaces!;
    t.equal([own?.mac, own?.mtu, t.link("eth0")?.mtu, t.link("eth0")?.up], [mac, 1400, 1400, true], "MAC, MTU, up");
    t.equal(t.sh("cat /proc/sys/net/ipv4/conf/all/arp_notify").trim(), "0", "arp_notify of the host");
    const notify = "cd /proc/sys/net; cat ipv4/conf/eth0/arp_notify ipv6/conf/eth0/ndisc_notify";
    t.equal(t.sh(`ip netns exec c1 sh -c '${notify}'`).split("\n").slice(0, 2), ["1", "1"], "notify in the pod");
    t.silent("CHECK", { ...conf, prevResult });
    t.silent("DEL", conf);
  });
}

/** An allocation file counts while its path is a network namespace, and while the function is not on the host. */
function allocated(t: Trial): void {
  t.netns("c2");
  t.write(`${STATE}/pci/${VF}`, "/run/netns/c2", 0o600);
  t.sh("ip link set enp175s7 netns c2");
  const { msg } = t.refused("ADD", config());
  t.expect(msg.includes(`pci address ${VF} is already allocated`), "already allocated", msg);
  t.sh("ip -n c2 link set enp175s7 netns $$");
  t.add(config());
  t.silent("DEL", config());
  t.write(`${STATE}/pci/${VF}`, "/run/netns/c2", 0o600);
  t.sh("umount /run/netns/c2");
  t.add(config());
  t.equal(t.read(`${STATE}/pci/${VF}`), "/run/netns/c1", "allocation");
  t.silent("DEL", config());
}

/** The second ADD waits for the lock, and is then told who has the function. */
function waits(t: Trial): void {
  const stub = t.stub({ ADD: `sleep 2; echo '{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.1/24"}]}'` });
  t.netns("c2");
  const set = (pod: string) => ({
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/netns/${pod}`,
    CNI_PATH: `${stub.bin}:${t.settings.bin}`,
  });
  const stdin = config({ ipam: { type: "stub" } });
  const runs = t.parallel(["c1", "c2"].map((pod) => ({ command: "ADD", stdin, set: set(pod) })));
  t.equal(runs.map(({ status }) => status).sort(), [0, 1], "exit statuses");
  const { stdout } = runs.find(({ status }) => status === 1)!;
  t.expect(stdout.includes("is already allocated"), "already allocated", stdout);
  for (const pod of ["c1", "c2"]) t.silent("DEL", stdin, { set: set(pod) });
  t.present("enp175s7", "");
}

/** A DEL that failed can be repeated: what it has not done is still known. */
function again(t: Trial): void {
  restored(t, () => {
    const stub = t.stub({ ADD: `echo '{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.1/24"}]}'`, DEL: "exit 1" });
    const set = { CNI_PATH: `${stub.bin}:${t.settings.bin}` };
    const conf = config({ ipam: { type: "stub" } });
    t.add(conf, { set });
    t.error(t.call("DEL", conf, { set }));
    stub.behave({});
    for (let n = 0; n < 2; n++) t.silent("DEL", conf, { set });
    t.sh("rm -rf /run/stub");
  });
}

function ipamFails(t: Trial): void {
  const stub = t.stub({ ADD: `echo '{"code":101,"msg":"no address"}'; exit 1` });
  const set = { CNI_PATH: `${stub.bin}:${t.settings.bin}` };
  restored(t, () => t.error(t.call("ADD", config({ ipam: { type: "stub" } }), { set })));
}

function logFile(t: Trial): void {
  const conf = config({ logFile: "/run/sriov.log", logLevel: "debug" });
  t.equal(t.call("ADD", conf).stderr, "", "stderr");
  t.silent("DEL", { ...conf, logFile: "/etc/cni/sriov.log" });
  for (const path of ["/etc/cni/sriov.log", "/run/../etc/cni/sriov.log", "/var/lib/cni/x"])
    t.refused("ADD", config({ logFile: path }), [7]);
  t.sh("ln -s /etc/cni/target /run/link.log");
  t.call("ADD", config({ logFile: "/run/link.log" }));
  t.equal(t.sh("ls /etc/cni").trim(), "", "files in /etc/cni");
}

function nameTaken(t: Trial): void {
  t.sh(
    "ip -n c1 link add eth0 type veth peer name x; ip -n c1 link set eth0 up; ip -n c1 address add 10.0.0.1/24 dev eth0",
  );
  const { msg } = t.refused("ADD", config({ ipam: POOL }));
  t.expect(msg.includes("file exists"), "file exists", msg);
}

/** What ends in the state file of one attachment, for sriov-cni to read. */
function stateFile(t: Trial): void {
  t.add(config({ dns: { domain: "example.org" }, ipam: POOL }));
  const state = JSON.parse(t.read(`${STATE}/ctr-1-eth0`)) as Config;
  t.equal([state.deviceID, state.cniVersion, state.ipam], [VF, "1.0.0", { type: "host-local" }], "state");
  t.equal(t.sh(`stat -c %a ${STATE} ${STATE}/ctr-1-eth0`).trim().split("\n"), ["700", "600"], "modes");
  t.silent("DEL", config({ ipam: POOL }));
}

const spellings: Config = { DEVICEID: VF, Vlan: null, IPAM: {}, LogLevel: "info", MTU: 1300 };

export const sriovSysfs: CaseTable = {
  perMain: [],
  fixed: [
    one("SRX-01", "G", "A.19: 1, 37, 41, 48, 51, 62", "ADD, CHECK, DEL; as before", cycle),
    refuses("SRX-02a", "A.19: 2, 16", { deviceID: "0000:af:06.3" }, [7, 11, 100, 999]),
    refuses("SRX-02b", "A.6: a PF", { deviceID: PF }, [7, 100, 999]),
    refuses("SRX-02c", "A.6: no domain", { deviceID: "af:06.1" }),
    refuses("SRX-02d", "A.6: not a function", { deviceID: "0000:05:00.0" }, [7, 100, 999]),
    refuses("SRX-02e", "A.2: required", { deviceID: undefined }),
    one("SRX-02f", "G", "A.19: 44; A.6: the interface is elsewhere", "E names the function, untouched", (t) => {
      t.sh("rm -r /sys/bus/pci/devices/0000:af:06.1/net/enp175s7");
      const { msg } = t.refused("ADD", config());
      t.expect(msg.includes(VF) && msg.includes("does not have an interface name"), "what is missing", msg);
    }),
    one("SRX-02g", "G", "A.6: no driver", "E names the file, untouched", (t) => {
      t.sh("rm /sys/bus/pci/devices/0000:af:06.1/driver");
      const { msg } = t.refused("ADD", config());
      t.expect(msg.includes(`${VF}/driver`), "the file", msg);
    }),
    one(
      "SRX-03",
      "G",
      "A.19: 3",
      "broken JSON: E(6)",
      (t) => void t.refused("ADD", `${JSON.stringify(config()).slice(0, -1)},`, [6], { plugin: "sriov" }),
    ),
    refuses("SRX-04a", "A.19: 5", { vlan: 5000 }),
    refuses("SRX-04b", "A.2", { vlan: 4095 }),
    refuses("SRX-04c", "A.19: 6", { vlan: 0, vlanQoS: 1 }),
    refuses("SRX-04d", "A.19: 7", { vlan: 0, vlanProto: "802.1ad" }),
    refuses("SRX-04e", "A.19: 8", { vlan: 100, vlanQoS: 10 }),
    refuses("SRX-04f", "A.19: 9", { vlan: 100, vlanProto: "802" }),
    refuses("SRX-04g", "A.19: 12", { vlanQoS: 1 }),
    refuses("SRX-04h", "A.19: 13", { vlanProto: "802.1ad" }),
    refuses("SRX-04i", "A.4: no string", { vlan: "100" }),
    refuses("SRX-04j", "A.4: no fraction", { vlan: 1.5 }),
    refuses("SRX-04k", "A.4: no boolean", { spoofchk: true }),
    refuses("SRX-04l", "A.2; case 79", { spoofchk: "ON" }),
    refuses("SRX-04m", "A.2", { trust: "yes" }),
    refuses("SRX-04n", "A.2: exact case", { link_state: "Enable" }),
    refuses("SRX-04o", "A.2: no address", { mac: "02:00:00:00:00" }),
    refuses("SRX-04p", "A.2: 20 bytes are InfiniBand's", { mac: `02${":00".repeat(19)}` }),
    refuses("SRX-04q", "attack A11: multicast", { mac: "01:00:5e:00:00:01" }),
    refuses("SRX-04r", "attack A11: min above max", { min_tx_rate: 200, max_tx_rate: 100 }),
    refuses("SRX-04s", "A.2: negative", { max_tx_rate: -1 }),
    refuses("SRX-04t", "A.3: MAC of the runtime", { runtimeConfig: { mac: "nonsense" } }),
    one("SRX-05", "G", "A.19: 15, 34, 35, 36", "allocated while the path is a namespace", allocated),
    one("SRX-06", "G", "A.4", "keys in any case of letters, null is absent", (t) => {
      const { deviceID: _, ...rest } = config();
      t.equal(t.add({ ...rest, ...spellings }).interfaces?.[0]?.mtu, 1300, "mtu");
      t.silent("DEL", { ...rest, ...spellings });
    }),
    one("SRX-07", "H", "A.15; A.19: 61; attack A6", "logFile takes the log, confined", logFile),
    one("SRX-08", "G", "A.19: 65", "two ADDs at once: one waits and is told", waits),
    one("SRX-09", "H", "A.12", "a DEL whose IPAM failed works the next time", again),
    one("SRX-10", "H", "A.13", "IPAM fails: undone", ipamFails),
    one("SRX-11", "H", "case 72", "the pod has an eth0: E(file exists), untouched", nameTaken),
    one("SRX-12", "G", "A.19: 32, 33", "deviceID, version and IPAM's type; modes", stateFile),
    one("SRX-13", "H", "F24", "deviceID of the runtime when the configuration has none", (t) => {
      const conf = config({ deviceID: undefined, runtimeConfig: { deviceID: VF } });
      t.add(conf);
      t.silent("DEL", config({ deviceID: undefined }));
      t.present("enp175s7", "");
    }),
  ],
};
