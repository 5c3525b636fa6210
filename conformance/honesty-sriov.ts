// What sriov-cni 2.10 does wrong (as its study describes it; the numbers are those of docs/sriov-cases.md), one fault at a time on top
// of a good plugin: the named case must catch each. On real functions, so in the guest:
//   conformance/vm/run --igb 2 -- node scripts/ts.mjs conformance/honesty.ts --bin dist/cni --sriov --jobs 2
import type { Fault } from "./honesty.ts";

const VF1 = `dev=$(printf %s "$conf" | sed 's/.*"deviceID":"\\([^"]*\\)".*/\\1/'); pf=$(ls /sys/bus/pci/devices/$dev/physfn/net)`;

const fault = (name: string, caught: string, code: string): Fault => ({
  name,
  plugin: "sriov",
  caught,
  code: `${VF1}\n${code}`,
});
/** After the good plugin's work, whatever came of it. */
const then = (command: string, code: string): string =>
  `again "$CNI_COMMAND"; s=$?; [ "$CNI_COMMAND" = ${command} ] && { ${code}; }; exit $s`;
const unless = (command: string, condition: string, instead: string): string =>
  `[ "$CNI_COMMAND" = ${command} ] && ${condition} && { ${instead}; }; real`;
const ERROR = `echo '{"code":999,"msg":"failed"}'; exit 1`;

export const SRIOV_FAULTS: readonly Fault[] = [
  fault("A.12, F9: a late DEL resets the new owner's VLAN", "SRB-06", then("DEL", "ip link set $pf vf 1 vlan 0")),
  fault("A.13, F10: a refused attribute leaves the others", "SRB-01a", then("ADD", "ip link set $pf vf 1 vlan 100")),
  fault(
    "A.12: DEL of a userspace function fails the first time",
    "SRB-14",
    unless("DEL", "[ ! -e /run/case-del ]", `touch /run/case-del; again DEL; ${ERROR}`),
  ),
  fault("A.12, F6: the namespace is gone, so is the name", "SRB-18", unless("DEL", '[ ! -e "$CNI_NETNS" ]', "exit 0")),
  fault("A.12, F5: DEL without CNI_NETNS does nothing", "SRB-05", unless("DEL", '[ -z "$CNI_NETNS" ]', "exit 0")),
  fault("A.9: the pod's interface of that name is touched", "SRB-02", then("ADD", "inside ip link set eth0 down")),
  fault(
    "A.12: DEL fails for an interface renamed in the pod",
    "SRB-03",
    unless("DEL", "! inside ip link show eth0 >/dev/null 2>&1", ERROR),
  ),
  fault(
    "A.13: the result cannot be written, nothing is undone",
    "SRB-07",
    unless("ADD", "true", 'out=$(again ADD); printf %s "$out"; exit'),
  ),
  fault("A.2: spoofchk ON is off", "SRB-17", `conf=$(printf %s "$conf" | sed 's/"ON"/"off"/'); real`),
  fault("A.1: result and error, both", "SRB-15", then("ADD", `echo '{"cniVersion":"1.0.0"}'`)),
  fault("A.13: the version is refused after the work", "SRB-16", then("ADD", "ip link set $pf vf 1 vlan 100")),
  fault(
    "A.11: no owner, so any DEL and ADD will do",
    "SRB-09",
    then("ADD", "[ $s = 0 ] || ip link set $pf vf 1 vlan 20"),
  ),
  fault(
    "A.18, F4: a MAC fails on a function that is down",
    "SRV-05",
    unless("ADD", "! ip link show vf0 | grep -q ,UP", ERROR),
  ),
  fault("A.2, F17: mtu is ignored", "SRV-09", `conf=$(printf %s "$conf" | sed 's/"mtu":3000/"mtu":0/'); real`),
  fault("A.12, F16: CHECK always succeeds", "SRV-07", unless("CHECK", "true", "exit 0")),
  fault("A.1, F22: GC does nothing", "SRB-13", unless("GC", "true", "exit 0")),
  fault("F7: DEL after a reboot resets the function", "SRB-11", then("DEL", "ip link set $pf vf 1 vlan 0")),
  fault(
    "A.7, F2: alternative names are lost",
    "SRB-04",
    then("DEL", "ip link property del dev vf1 altname uplink-of-rack-7"),
  ),
  fault(
    "F3: DEL fails when the function is gone",
    "SRB-12",
    unless("DEL", "[ ! -e /sys/bus/pci/devices/$dev ]", ERROR),
  ),
  fault(
    "A.13, F5: what a dead pod left is taken for the original",
    "SRB-19",
    unless("ADD", '[ "$CNI_NETNS" = /run/netns/c2 ]', "rm -rf /var/lib/cni/podnic/sriov /var/lib/cni/sriov"),
  ),
];
