// Finding the delegate, its limits, and delegation of the other commands.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { ANY, OWN, type Trial } from "../harness/trial.ts";
import { GOOD, LIMITS, POLICY, type Stubbed, say, stubbed } from "./stubs.ts";

const ADD = say(GOOD);

/** CNI_PATH, seen from the stub's bin directory $B. */
const found = (id: string, tag: Tag, label: string, setup: string, path: (bin: string) => string): MainCase =>
  row(id, tag, "C-130: looked up in CNI_PATH", `${label}: OK`, (t) => {
    const s = stubbed(t, { ADD });
    t.sh(`B=${s.stub.bin}; ${setup}`);
    t.add(s.conf, { set: { CNI_PATH: path(s.stub.bin) } });
    t.equal(s.stub.commands(), "ADD", "calls");
  });

/** Must not be executed: E, nothing left, no call. */
const never = (
  id: string,
  tag: Tag,
  label: string,
  type: string,
  options: (bin: string) => { path: string; wrap?: string },
): MainCase =>
  row(id, tag, "C-029, C-130: nothing outside CNI_PATH is executed", `${label}: E, not executed`, (t) => {
    const s = stubbed(t, { ADD });
    const { path, wrap } = options(s.stub.bin);
    t.sh(`mkdir -p ${s.stub.bin}/sub`);
    t.refused("ADD", { ...s.conf, ipam: { type } }, ANY, { set: { CNI_PATH: path }, ...(wrap && { wrap }) });
    t.equal(s.stub.commands(), "", "calls");
  });

/** Holds the stub open for writing while the plugin runs. */
const busy = (bin: string) => `exec 3>>${bin}/stub; sleep 15 >/dev/null 2>&1 & exec 3>&-; exec "$@"`;

/** ADD, then a command with another behaviour of the stub. */
function after(t: Trial, command: string, behaviour: Record<string, string>, extra: Config = {}, options = {}) {
  const s = stubbed(t, { ADD, ...behaviour }, extra);
  const prevResult = t.add(s.conf, { set: s.set });
  const conf = { ...s.conf, prevResult };
  return { ...s, conf, run: t.call(command, conf, { set: s.set, ...options }) };
}

/** A delegate that has an address and a child, and does not end. */
const hang = "sleep 60 & echo $! >$D/child; echo >$D/lease; exec sleep 60";
const asked = (signal: string) => `exec timeout --foreground --preserve-status -s ${signal} 1 "$@"`;

function hasEnded(t: Trial, { stub }: Stubbed): void {
  const pids = [...stub.calls().map(({ pid }) => pid), Number(t.read(`${stub.dir}/child`))];
  t.equal(
    pids.filter((pid) => runs(t, pid)),
    [],
    "processes of the delegate that run on",
  );
}

const v11 = { needs: ["spec:1.1.0"] };
const V11 = { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
const ERROR = say({ cniVersion: "1.0.0", code: 101, msg: "no" }, 1);

export const delegation: CaseTable = {
  perMain: [
    row("DLG-40", "S", "C-130", "ipam.type not in CNI_PATH: E, nothing left", (t) => {
      t.refused("ADD", t.l2({ ipam: { type: "nosuch-ipam" } }));
    }),
    found("DLG-41", "G", "a directory of that name first", "mkdir -p /run/case/stub", (bin) => `/run/case:${bin}`),
    row("DLG-42", "H", "C-130", "a non-executable file of that name first: skipped, or E with nothing left", (t) => {
      const s = stubbed(t, { ADD });
      t.write("/run/case/stub", "text");
      t.okOrRefused(s.conf, ANY, { set: { CNI_PATH: `/run/case:${s.stub.bin}` } });
    }),
    row("DLG-43a", "H", "C-062", "executable text without #!: E(>=100), nothing left", (t) => {
      t.write("/run/case/stub", "text\n", 0o755);
      t.refused("ADD", t.l2({ ipam: { type: "stub" } }), OWN, { set: { CNI_PATH: "/run/case" } });
    }),
    row("DLG-43b", "H", "C-062", "missing interpreter: E(>=100), nothing left", (t) => {
      t.write("/run/case/stub", "#!/nosuch/interpreter\n", 0o755);
      t.refused("ADD", t.l2({ ipam: { type: "stub" } }), OWN, { set: { CNI_PATH: "/run/case" } });
    }),
    found(
      "DLG-44",
      "G",
      "a link in CNI_PATH",
      "mkdir /run/case; cp $B/stub /run/case/real; ln -s real /run/case/stub",
      () => "/run/case",
    ),
    found("DLG-45", "G", "directories that do not exist around it", "true", (bin) => `/nosuch:${bin}:/none`),
    row("DLG-46", "H", "5.3: CNI_PATH is absolute", "a relative directory: E with nothing left, or OK", (t) => {
      const s = stubbed(t, { ADD });
      t.okOrRefused(s.conf, ANY, { set: { CNI_PATH: "bin" }, wrap: `cd ${s.stub.dir}; exec "$@"` });
    }),
    never("DLG-47a", "H", "an empty element, the stub in the working directory", "stub", (bin) => ({
      path: ":/nosuch",
      wrap: `cd ${bin}; exec "$@"`,
    })),
    never("DLG-47b", "H", "the element ., the stub in the working directory", "stub", (bin) => ({
      path: ".",
      wrap: `cd ${bin}; exec "$@"`,
    })),
    never("DLG-48a", "S", "type ../stub", "../stub", (bin) => ({ path: `${bin}/sub` })),
    never("DLG-48b", "S", "an absolute type", "/run/stub/stub/bin/stub", (bin) => ({ path: bin })),
    never("DLG-48c", "S", "type ./stub", "./stub", (bin) => ({ path: bin })),
    ...[".", "..", "stub ", "stub\0", "x".repeat(5000)].map((type, n) =>
      never(`DLG-49${"abcde"[n]}`, "S", `type ${JSON.stringify(type).slice(0, 20)}`, type, (bin) => ({ path: bin })),
    ),
    row("DLG-50", "H", "text file busy", "the delegate is being written: E after a short while, nothing left", (t) => {
      const s = stubbed(t, { ADD });
      t.refused("ADD", s.conf, ANY, { set: s.set, wrap: busy(s.stub.bin) });
      t.equal(s.stub.commands(), "", "calls");
    }),
    row("DLG-51", "H", "text file busy: a DEL that did not run is no success", "E", (t) => {
      const s = stubbed(t, { ADD });
      t.add(s.conf, { set: s.set });
      t.error(t.call("DEL", s.conf, { set: s.set, wrap: busy(s.stub.bin) }));
    }),
    row("DLG-60", "S", "C-084, C-135", "DEL: OK, one call with DEL", (t) => {
      const { run, stub } = after(t, "DEL", {});
      t.silentRun(run);
      t.equal(stub.commands(), "ADD DEL", "calls");
    }),
    row("DLG-61", "S", "C-084", "DEL: the delegate's error 101 after the link is removed", (t) => {
      t.error(after(t, "DEL", { DEL: ERROR }).run, [101]);
      t.gone();
    }),
    row("DLG-62", "G", "DEL ignores a delegate's output", "DEL: the delegate prints text: OK", (t) => {
      t.silentRun(after(t, "DEL", { DEL: "echo text" }).run);
    }),
    row("DLG-64", "S", "C-097, C-135", "CHECK: the delegate's error 101", (t) => {
      t.error(after(t, "CHECK", { CHECK: ERROR }).run, [101]);
    }),
    row("DLG-65", "H", "a delegate does not outlive a killed plugin", "the stub is gone soon after", (t) => {
      const s = stubbed(t, { ADD: "exec sleep 30 >/dev/null 2>&1" });
      const wrap = `exec 3<&0; "$1" <&3 >/dev/null 2>&1 & p=$!
        for i in 1 2 3 4 5 6 7 8 9 10; do [ -s ${s.stub.dir}/calls/0/command ] && break; sleep 0.2; done
        sleep 0.2; kill -9 $p; sleep 0.5; cat /proc/$(cat ${s.stub.dir}/calls/0/pid)/stat 2>/dev/null`;
      const run = t.call("ADD", s.conf, { set: s.set, wrap });
      if (run.stdout !== "" && !/\) [ZX] /.test(run.stdout)) throw new Mismatch("a dead delegate", describeRun(run));
      t.equal(s.stub.calls().length, 1, "calls");
    }),
    row(
      "DLG-66a",
      "S",
      "C-104",
      "STATUS: the delegate is asked once",
      (t) => {
        const s = stubbed(t, {}, V11);
        t.silent("STATUS", s.conf, { set: s.set });
        t.equal(s.stub.commands(), "STATUS", "calls");
      },
      v11,
    ),
    row(
      "DLG-66b",
      "S",
      "C-104",
      "STATUS: the delegate's error 50",
      (t) => {
        const s = stubbed(t, { STATUS: say({ code: 50, msg: "full" }, 1) }, V11);
        t.error(t.call("STATUS", s.conf, { set: s.set }), [50]);
      },
      v11,
    ),
    row(
      "DLG-66c",
      "S",
      "C-104",
      "STATUS: the delegate is missing: E(50|*)",
      (t) => {
        t.error(t.call("STATUS", t.l2({ ...V11, ipam: { type: "nosuch-ipam" } })));
      },
      v11,
    ),
    row(
      "DLG-67",
      "S",
      "C-111: GC is forwarded",
      "one call with GC and the attachments on stdin",
      (t) => {
        const s = stubbed(t, {}, V11);
        t.silent("GC", s.conf, { set: s.set });
        t.equal(s.stub.commands(), "GC", "calls");
        t.expect(s.stub.calls()[0]!.stdin.includes("cni.dev/valid-attachments"), "the attachments", "none");
      },
      v11,
    ),
    row(
      "DLG-68",
      "S",
      "C-112: errors are reported at the end",
      "GC: the delegate's error 50",
      (t) => {
        const s = stubbed(t, { GC: say({ code: 50, msg: "no" }, 1) }, V11);
        t.error(t.call("GC", s.conf, { set: s.set }), [50]);
      },
      v11,
    ),
    row(
      "DLG-16",
      "H",
      "5.1 reading 27: a delegate has a limit",
      "sleeps for ever: E within 20 s, killed, nothing left",
      (t) => {
        t.write(POLICY, LIMITS);
        const s = stubbed(t, { ADD: "exec sleep 60" });
        t.refused("ADD", s.conf, ANY, { set: s.set, timeoutMs: 19_000 });
        t.expect(!runs(t, s.stub.calls()[0]!.pid), "a dead delegate", "it sleeps on");
      },
    ),
    row("DLG-63", "H", "5.1 reading 27: a delegate has a limit", "DEL: sleeps for ever: E within 20 s", (t) => {
      t.write(POLICY, LIMITS);
      t.error(after(t, "DEL", { DEL: "exec sleep 60" }, {}, { timeoutMs: 18_000 }).run);
    }),
    ...(["TERM", "INT"] as const).map((signal, n) =>
      row(
        `DLG-71${"ab"[n]}`,
        "H",
        "who is asked to end while a delegate hangs leaves nothing",
        `SIG${signal} during ADD: E soon, the delegate and its children dead, its DEL run, nothing left`,
        (t) => {
          const s = stubbed(t, { ADD: hang, DEL: "rm $D/lease" });
          const begin = Date.now();
          const { code } = t.refused("ADD", s.conf, ANY, { set: s.set, timeoutMs: 15_000, wrap: asked(signal) });
          t.equal(code, 11, "code");
          t.expect(Date.now() - begin < 8000, "an end within 8 s", `${Date.now() - begin} ms`);
          hasEnded(t, s);
          t.equal(s.stub.commands(), "ADD DEL", "calls of the delegate");
          t.equal(t.sh(`ls ${s.stub.dir}`), "bin\ncalls\nchild\n", "what the delegate keeps");
        },
      ),
    ),
    row(
      "DLG-72",
      "H",
      "who is asked to end while a delegate hangs leaves nothing",
      "SIGTERM during ADD, and DEL hangs as well: E within 12 s that says so, all dead, no interface",
      (t) => {
        const s = stubbed(t, { ADD: hang, DEL: "exec sleep 60" });
        const begin = Date.now();
        // Again while it is undone.
        const wrap = 'exec 3<&0; "$@" <&3 & p=$!; sleep 1; kill $p; sleep 1; kill $p; wait $p';
        const { details = "" } = t.refused("ADD", s.conf, ANY, { set: s.set, timeoutMs: 19_000, wrap });
        t.expect(Date.now() - begin < 12_000, "an end within 12 s", `${Date.now() - begin} ms`);
        t.expect(/not undone/.test(details), "what was not undone", details);
        hasEnded(t, s);
      },
    ),
    row(
      "DLG-73",
      "H",
      "a delegate gets the signals as the runtime set them",
      "neither SIGTERM nor SIGINT is blocked or ignored in it",
      (t) => {
        const s = stubbed(t, {});
        // No shell: dash unblocks all signals when it starts.
        const stub = `${s.stub.bin}/${s.stub.name}`;
        const awk = `#!/usr/bin/awk -f
BEGIN { if (ENVIRON["CNI_COMMAND"] == "ADD") while ((getline line < "/proc/self/status") > 0) if (line ~ /^Sig(Blk|Ign)/) print line >"${s.stub.dir}/signals" }
`;
        t.sh(`rm -f ${stub}`);
        t.write(stub, awk);
        t.sh(`chmod 755 ${stub}`);
        t.call("ADD", s.conf, { set: s.set });
        const none = "0000000000000000";
        t.equal(t.read(`${s.stub.dir}/signals`), `SigBlk:\t${none}\nSigIgn:\t${none}\n`, "signals of the delegate");
      },
    ),
    row(
      "DLG-74",
      "H",
      "who starts the plugin ignores SIGCHLD",
      "ADD and DEL: OK, one call each",
      (t) => {
        const s = stubbed(t, { ADD });
        const options = { set: s.set, wrap: `perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "$@"` };
        t.add(s.conf, options);
        t.silent("DEL", s.conf, options);
        t.equal(s.stub.commands(), "ADD DEL", "calls");
      },
      { needs: ["program:perl"] },
    ),
  ],
  fixed: [],
};

/** Whether a process of the sandbox still runs (a zombie does not). */
function runs(t: Trial, pid: number): boolean {
  const stat = t.sh(`cat /proc/${pid}/stat 2>/dev/null || true`);
  return stat !== "" && !/\) [ZX] /.test(stat);
}
