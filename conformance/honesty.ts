// The suite's own honesty: plugins that break one thing at a time, and the case that must notice.
//   node scripts/ts.mjs conformance/honesty.ts --bin DIR
// For each fault a directory with a wrapper around a good plugin is made. The named case must pass without the
// fault (it can pass) and fail with it (it can fail).
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { countOption, Exit, fileOption, testProgram } from "./harness/options.ts";
import { SRIOV_FAULTS } from "./honesty-sriov.ts";

export interface Fault {
  readonly name: string;
  readonly plugin: string;
  /** The case that must catch it. */
  readonly caught: string;
  /** Shell code: `real COMMAND` runs the good plugin on $conf; `inside CMD` runs in the container's namespace. */
  readonly code: string;
}

const FAULTS: readonly Fault[] = [
  {
    name: "prints the result before the work",
    plugin: "macvlan",
    caught: "ADD-09f@macvlan",
    code: `[ "$CNI_COMMAND" = ADD ] || real
      out=$(again ADD); again DEL >/dev/null
      printf %s "$out"; (exec >/dev/null 2>&1; sleep 1; again ADD) & exit 0`,
  },
  {
    name: "loses DEL",
    plugin: "macvlan",
    caught: "DEL-01@macvlan",
    code: '[ "$CNI_COMMAND" = DEL ] && exit 0; real',
  },
  {
    name: "wrong interface index",
    plugin: "macvlan",
    caught: "ADD-06@macvlan",
    code: `again "$CNI_COMMAND" | sed 's/"interface": *0/"interface":3/'`,
  },
  {
    name: "wrong MAC in the result",
    plugin: "macvlan",
    caught: "NSP-01@macvlan",
    code: `again "$CNI_COMMAND" | sed -E 's/([0-9a-f]{2}:){5}[0-9a-f]{2}/02:00:00:00:00:00/'`,
  },
  {
    name: "leaves a link behind when ADD fails",
    plugin: "macvlan",
    caught: "TYP-02b@macvlan",
    code: `out=$(again "$CNI_COMMAND"); s=$?; printf %s "$out"
      [ $s = 0 ] || inside ip link add leak type veth peer name leakp; exit $s`,
  },
  {
    name: "answers in another version",
    plugin: "macvlan",
    caught: "VER-06@macvlan",
    code: `again "$CNI_COMMAND" | sed 's/"cniVersion": *"0.4.0"/"cniVersion":"1.0.0"/'`,
  },
  {
    name: "reports an address the link does not have",
    plugin: "macvlan",
    caught: "ARG-16@macvlan",
    code: `out=$(again "$CNI_COMMAND"); s=$?; printf %s "$out"
      [ "$CNI_COMMAND" = ADD ] && inside ip address flush dev "$CNI_IFNAME"; exit $s`,
  },
  {
    name: "CHECK always succeeds",
    plugin: "macvlan",
    caught: "CHK-33@macvlan",
    code: '[ "$CNI_COMMAND" = CHECK ] && exit 0; real',
  },
  {
    name: "exit status 0 with an error object",
    plugin: "macvlan",
    caught: "ENV-11@macvlan",
    code: 'again "$CNI_COMMAND"; exit 0',
  },
  {
    name: "accepts any version",
    plugin: "macvlan",
    caught: "VER-09a-ADD@macvlan",
    code: `conf=$(printf %s "$conf" | sed 's/1\\.2\\.0/1.0.0/'); real`,
  },
  {
    name: "hands the delegate other bytes",
    plugin: "macvlan",
    caught: "DLG-01@macvlan",
    code: 'conf=" $conf"; real',
  },
  {
    name: "DEL removes every interface of the container",
    plugin: "macvlan",
    caught: "DEL-17@macvlan",
    code: `[ "$CNI_COMMAND" = DEL ] && for i in eth0 eth1; do inside ip link del $i 2>/dev/null; done; real`,
  },
  {
    name: "STATUS is always ready",
    plugin: "macvlan",
    caught: "DLG-66b@macvlan",
    code: '[ "$CNI_COMMAND" = STATUS ] && exit 0; real',
  },
  {
    name: "a second document on stdout",
    plugin: "macvlan",
    caught: "ENV-30@macvlan",
    code: 'again "$CNI_COMMAND"; s=$?; echo "{}"; exit $s',
  },
  {
    name: "the same address for everyone",
    plugin: "host-local",
    caught: "HL-A1",
    code: `again "$CNI_COMMAND" | sed -E 's/192\\.168\\.1\\.[2-6]\\//192.168.1.2\\//'`,
  },
  {
    name: "a lease with a newline at its end",
    plugin: "host-local",
    caught: "HL-1-1.0.0",
    code: `out=$(again "$CNI_COMMAND"); s=$?; printf %s "$out"
      for f in /var/lib/cni/networks/mynet/10*; do [ -f "$f" ] && echo >>"$f"; done; exit $s`,
  },
  {
    name: "the device stays in the container",
    plugin: "host-device",
    caught: "HD-1-1.0.0",
    code: '[ "$CNI_COMMAND" = DEL ] && exit 0; real',
  },
];

const wrapper = (real: string, code: string): string => `#!/bin/sh
if [ "$CNI_COMMAND" = VERSION ]; then exec ${real}; fi
conf=$(cat; echo x); conf=\${conf%x}
again() { c=$1; printf %s "$conf" | CNI_COMMAND=$c ${real}; }
real() { again "$CNI_COMMAND"; exit $?; }
inside() { nsenter --net="$CNI_NETNS" "$@"; }
${code}
`;

/** A directory of plugins in which some are wrapped. */
function directory(top: string, bin: string, label: string, wrapped: readonly string[], code: string): string {
  const dir = join(top, label);
  mkdirSync(dir);
  for (const name of readdirSync(bin)) {
    if (!wrapped.includes(name)) symlinkSync(join(bin, name), join(dir, name));
    else writeFileSync(join(dir, name), wrapper(join(bin, name), code), { mode: 0o755 });
  }
  return dir;
}

type Outcomes = Map<string, string>;

/** Runs the suite on a directory and says how each case came out. */
async function run(bin: string, cases: readonly string[], report: string): Promise<Outcomes> {
  const program = resolve(process.argv[1] ?? "", "../../scripts/ts.mjs");
  const suite = resolve(process.argv[1] ?? "", "../main.ts");
  const args = ["--bin", bin, "--main", "macvlan", "--case", cases.join(","), "--report", report, "--limit", "120"];
  const child = spawn(process.execPath, [program, suite, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const status = await new Promise<number | null>((done, fail) => child.once("error", fail).once("exit", done));
  if (status !== Exit.passed && status !== Exit.wrong && status !== Exit.untested)
    throw new Error(`the suite ended with ${status} on ${bin}`);
  const { cases: verdicts } = JSON.parse(readFileSync(report, "utf8"));
  return new Map(verdicts.map((v: { id: string; outcome: string }) => [v.id, v.outcome]));
}

interface Finding extends Pick<Fault, "name" | "caught"> {
  /** Outcome of the case without and with the fault. */
  readonly before: string;
  readonly after: string;
}

const isCaught = ({ before, after }: Finding): boolean => before === "passed" && after === "failed";

/** Tries every fault, a few at a time. `top` is a scratch directory. */
async function findings(faults: readonly Fault[], bin: string, top: string, jobs: number): Promise<Finding[]> {
  // The control: wrapped alike, but without a fault. It shows that the wrapper itself is not what is caught.
  const wrapped = faults.map((f) => f.plugin);
  const cases = faults.map((f) => f.caught);
  const good = await run(directory(top, bin, "control", wrapped, "real"), cases, join(top, "good.json"));
  const found: Finding[] = [];
  const queue = [...faults.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [n, { name, plugin, caught, code }] = next;
      const dir = directory(top, bin, String(n), [plugin], code);
      const after = (await run(dir, [caught], join(top, `${n}.json`))).get(caught) ?? "unknown case";
      found[n] = { name, caught, before: good.get(caught) ?? "unknown case", after };
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return found;
}

interface Options {
  bin: string;
  jobs: number;
  sriov?: boolean;
  case?: string[];
  report?: string;
}

async function main(): Promise<void> {
  const program = testProgram("honesty")
    .description("Breaks plugins of a good directory one fault at a time; each must be caught by its case.")
    .requiredOption("--bin <dir>", "directory of plugins that pass the cases")
    .option("--jobs <n>", "faults at a time", countOption(1), 3)
    .option("--sriov", "the faults of sriov-cni instead, on the virtual functions of conformance/vm")
    .option("--case <ids>", "only the faults that these cases must catch", (ids: string) => ids.split(","))
    .option("--report <file>", "write the outcomes as JSON", fileOption);
  const { bin, jobs, sriov, case: only, report } = program.parse().opts<Options>();
  const faults = (sriov ? SRIOV_FAULTS : FAULTS).filter(({ caught }) => only?.includes(caught) ?? true);
  const unknown = (only ?? []).filter((id) => !faults.some(({ caught }) => caught === id));
  if (unknown.length > 0) program.error(`honesty: no fault is caught by ${unknown.join(", ")}`);
  const top = mkdtempSync(join(tmpdir(), "cni-honesty-"));
  try {
    const all = await findings(faults, resolve(bin), top, jobs);
    for (const finding of all) {
      const { name, caught, before, after } = finding;
      const verdict = isCaught(finding) ? "caught" : `MISSED (without the fault: ${before}, with it: ${after})`;
      console.log(`${name.padEnd(48)} ${caught.padEnd(22)} ${verdict}`);
    }
    const cases = all.map((f) => ({ id: f.name, outcome: isCaught(f) ? "passed" : "failed", got: f.after }));
    if (report !== undefined) writeFileSync(report, `${JSON.stringify({ cases }, null, 1)}\n`);
    console.log(`${all.filter(isCaught).length} of ${all.length} faults caught`);
    process.exitCode = all.every(isCaught) ? Exit.passed : Exit.wrong;
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
}

await main();
