// etcd, the API server, its controllers, the scheduler and the kubelet, with the options that a node in namespaces needs.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CGROUP, SOCKET } from "../../cri/node.ts";
import { FIRST, NODE, type NodeName, sh } from "../node.ts";
import { Authority } from "./certificates.ts";

const DIRECTORY = "/run/kube";
/** The first address of the Services: with no kube-proxy, the API server itself has it, and its port. */
const SERVICE = "10.96.0.1";
const ETCD = "http://127.0.0.1:2379";
const URL_OF_SERVER = `https://${SERVICE}:443`;
const NODE_ADDRESS = FIRST.address;
/** Seconds that one of them may take to start, on a busy machine. */
const START = 300;

/** What the kubelet writes, and the machine must keep: it finds it already so. */
const SYSCTLS: Record<string, string> = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

export interface Server {
  url: string;
  ca: string;
  /** The admin's. */
  key: string;
  cert: string;
  kubeconfig: string;
}

const started: ChildProcess[] = [];
let logs = "";

export const stopKubernetes = (): void => started.forEach((child) => void child.kill("SIGKILL"));

function start(program: string, options: string[]): void {
  const log = openSync(join(logs, `${basename(program)}.log`), "a");
  started.push(spawn(program, options, { stdio: ["ignore", log, log] }));
  closeSync(log);
}

async function ready(program: string, question: string): Promise<void> {
  for (const end = Date.now() + START * 1000; ; await sleep(200)) {
    if (sh(`${question} >/dev/null 2>&1 && echo yes || true`).trim() === "yes") return;
    if (Date.now() > end || started.some(({ exitCode }) => exitCode !== null))
      throw new Error(`${program} did not start:\n${sh(`tail -n 15 ${logs}/${program}.log`)}`);
  }
}

/** They stay until the next run. */
export const logsOf = (kept: string) => `${kept}.logs`;

/** `kept`: what outlives a start of the node. Returns when the node is Ready. */
export async function startKubernetes(programs: string, kept: string): Promise<Server> {
  logs = logsOf(kept);
  for (const directory of [DIRECTORY, logs]) mkdirSync(directory, { recursive: true });
  const state = `${kept}/kube`;
  const authority = new Authority(state);
  const at = (name: string) => join(programs, name);
  sh(`ip address add ${SERVICE}/32 dev lo; grep -q ' ${NODE}$' /etc/hosts || {
      (cat /etc/hosts; echo "${NODE_ADDRESS} ${NODE}") >${DIRECTORY}/hosts; mount --bind ${DIRECTORY}/hosts /etc/hosts; }`);
  const names = [
    SERVICE,
    "127.0.0.1",
    NODE_ADDRESS,
    NODE,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
  ];
  const server = authority.issue("apiserver", "/CN=kube-apiserver", names);
  const admin = authority.issue("admin", "/O=system:masters/CN=admin");
  const kubeconfig = authority.kubeconfig("admin", URL_OF_SERVER, admin);

  const none = [
    "--listen-peer-urls=http://127.0.0.1:2380",
    "--listen-client-urls",
    ETCD,
    "--advertise-client-urls",
    ETCD,
  ];
  start(at("etcd"), [`--data-dir=${state}/etcd`, "--unsafe-no-fsync", ...none]);
  await ready("etcd", `curl -fs ${ETCD}/health`);
  start(at("kube-apiserver"), [
    `--etcd-servers=${ETCD}`,
    ...["--bind-address=0.0.0.0", "--secure-port=443", `--advertise-address=${NODE_ADDRESS}`],
    ...["--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"],
    ...["--authorization-mode=Node,RBAC", "--allow-privileged=true", "--enable-admission-plugins=NodeRestriction"],
    ...[`--client-ca-file=${authority.ca}`, `--tls-cert-file=${server.cert}`, `--tls-private-key-file=${server.key}`],
    ...[`--service-account-key-file=${authority.accounts}`, `--service-account-signing-key-file=${authority.accounts}`],
    "--service-account-issuer=https://kubernetes.default.svc",
    ...[`--kubelet-client-certificate=${admin.cert}`, `--kubelet-client-key=${admin.key}`],
    ...[`--kubelet-certificate-authority=${authority.ca}`, "--kubelet-preferred-address-types=InternalIP"],
  ]);
  const curl = `curl -fs --cacert ${authority.ca} --cert ${admin.cert} --key ${admin.key} ${URL_OF_SERVER}`;
  await ready("kube-apiserver", `${curl}/readyz`);
  const alone = ["--kubeconfig", kubeconfig, "--leader-elect=false"];
  start(at("kube-controller-manager"), [
    ...alone,
    ...[`--service-account-private-key-file=${authority.accounts}`, `--root-ca-file=${authority.ca}`],
    "--controllers=daemonset-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,namespace-controller," +
      "garbage-collector-controller,node-lifecycle-controller,taint-eviction-controller",
  ]);
  start(at("kube-scheduler"), alone);
  startKubelet(at("kubelet"), authority, FIRST);
  return { url: URL_OF_SERVER, ca: authority.ca, ...admin, kubeconfig };
}

/** On another node, whose default gateway is the first one. */
export function joinNode(programs: string, kept: string, node: NodeName): void {
  logs = join(logsOf(kept), node.name);
  for (const directory of [DIRECTORY, logs]) mkdirSync(directory, { recursive: true });
  startKubelet(join(programs, "kubelet"), new Authority(`${kept}/kube`), node);
}

/** Its cgroups are below that of the run; what it would set for the whole machine it finds set. */
function startKubelet(program: string, authority: Authority, { name: node, address }: NodeName): void {
  const { ca } = authority;
  const identity = authority.issue(node, `/O=system:nodes/CN=system:node:${node}`, [node, address]);
  const kubeconfig = authority.kubeconfig(node, URL_OF_SERVER, identity);
  const cgroup = `${CGROUP}/${node}`;
  for (const controller of readdirSync("/sys/fs/cgroup").filter((name) => name !== "unified"))
    sh(`mkdir -p /sys/fs/cgroup/${controller}/${cgroup}`);
  for (const [name, value] of Object.entries(SYSCTLS)) {
    const file = `${DIRECTORY}/${name.replaceAll("/", ".")}`;
    writeFileSync(file, `${value}\n`);
    sh(`mount --bind ${file} /proc/sys/${name}`);
  }
  const configuration = {
    ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" },
    ...{ failCgroupV1: false, cgroupDriver: "cgroupfs", cgroupRoot: `/${cgroup}`, enforceNodeAllocatable: [] },
    ...{ containerRuntimeEndpoint: `unix://${SOCKET}`, failSwapOn: false, protectKernelDefaults: true },
    authentication: { anonymous: { enabled: false }, webhook: { enabled: false }, x509: { clientCAFile: ca } },
    ...{ authorization: { mode: "AlwaysAllow" }, tlsCertFile: identity.cert, tlsPrivateKeyFile: identity.key },
    ...{
      evictionHard: { "memory.available": "1Mi" },
      imageGCHighThresholdPercent: 100,
      localStorageCapacityIsolation: false,
    },
    ...{
      maxPods: 110,
      registryPullQPS: 0,
      kubeAPIQPS: 50,
      kubeAPIBurst: 100,
      eventRecordQPS: 0,
      makeIPTablesUtilChains: false,
    },
    ...{ resolvConf: "", serializeImagePulls: false, volumePluginDir: "/var/lib/kubelet/volume-plugins" },
  };
  writeFileSync(`${DIRECTORY}/kubelet.json`, JSON.stringify(configuration));
  start(program, [
    ...["--config", `${DIRECTORY}/kubelet.json`, "--kubeconfig", kubeconfig],
    ...["--hostname-override", node, "--node-ip", address, "--root-dir=/var/lib/kubelet", "--v=2"],
  ]);
}
