// ADD with a delegate (IPAM) that answers well, badly or not at all.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { ANY, type Codes, OWN } from "../harness/trial.ts";
import { ADDRESS, GOOD, say, stubbed, undone } from "./stubs.ts";

/** The delegate's answer is no result: E, nothing left, delegated DEL. */
const bad = (
  id: string,
  tag: Tag,
  requirement: string,
  label: string,
  add: string,
  codes: Codes = ANY,
  extra: Config = {},
): MainCase =>
  row(id, tag, requirement, `${label}: E, nothing left, one delegated DEL`, (t) => void undone(t, add, codes, extra));

/** The delegate's answer is good enough. */
const good = (
  id: string,
  tag: Tag,
  requirement: string,
  label: string,
  answer: unknown,
  extra: Config = {},
): MainCase =>
  row(id, tag, requirement, `${label}: OK`, (t) => {
    const s = stubbed(t, { ADD: say(answer) }, extra);
    t.add(s.conf, { set: s.set });
  });

const ips = (...list: unknown[]) => ({ cniVersion: "1.0.0", ips: list });
const ROLLBACK = "C-044, C-136: a failed delegated ADD is undone";

const bigStdin = (t: Parameters<MainCase["run"]>[0]) => {
  // Just below the 1 MiB of stdin a plugin may set as its limit, and far above the 64 KiB of a pipe.
  const s = stubbed(t, { ADD: say(GOOD), STDIN: "ignore" }, { x: "y".repeat(1_040_000) });
  t.add(s.conf, { set: s.set });
};

export const delegationAdd: CaseTable = {
  perMain: [
    row("DLG-01", "S", "C-130, C-131", "same environment, same bytes on stdin, host namespace, one call", (t) => {
      const s = stubbed(t, { ADD: say(GOOD) });
      const set = { ...s.set, CNI_ARGS: "IgnoreUnknown=1;A=B", FOREIGN: "x y" };
      const stdin = `${JSON.stringify(s.conf).slice(0, -1)}, "z":\t1.50e1 }\n`;
      t.result(t.call("ADD", stdin, { set }), t.settings.spec);
      const [call, ...more] = s.stub.calls();
      t.equal(more.length, 0, "further calls");
      t.equal(call!.stdin.toString(), stdin, "stdin of the delegate");
      t.equal(call!.netns, t.sh("readlink /proc/self/ns/net").trim(), "namespace of the delegate");
      for (const [key, value] of Object.entries(t.environment("ADD", set))) t.equal(call!.env[key], value, key);
    }),
    bad("DLG-02", "S", ROLLBACK, "prints garbage, exit 0", say("garbage")),
    bad("DLG-03", "S", ROLLBACK, "prints nothing, exit 0", say("")),
    ...["null", "{}", "[]", '{"cniVersion":"1.0.0","ips":[]}'].map((doc, n) =>
      bad(`DLG-04${"abcd"[n]}`, "S", ROLLBACK, `prints ${doc}`, say(doc)),
    ),
    bad("DLG-05", "S", ROLLBACK, "two documents", say(JSON.stringify(GOOD).repeat(2))),
    bad("DLG-06", "H", "an error object is not a result", "error object but exit 0", say({ code: 11, msg: "busy" })),
    row("DLG-07", "S", "C-133, C-136", "code 11, exit 1: E(11) with its message, undone", (t) => {
      const error = undone(t, say({ code: 11, msg: "busy", details: "d" }, 1), [11]);
      t.expect(error.msg.includes("busy") && (error.details ?? "").includes("d"), "busy; d", error);
    }),
    row("DLG-08", "S", "C-132, C-133", "code 107 and stderr text: E(107), the text on our stderr", (t) => {
      const answer = say({ cniVersion: "1.0.0", code: 107, msg: "no" }, 1);
      const s = stubbed(t, { ADD: `echo tale-of-woe >&2; ${answer}` });
      const run = t.call("ADD", s.conf, { set: s.set });
      t.error(run, [107]);
      t.expect(run.stderr.includes("tale-of-woe"), "the delegate's stderr", describeRun(run));
    }),
    bad("DLG-09", "H", "C-062: no code below 100 is made up", "exit 1, no output", "exit 1", OWN),
    bad("DLG-10", "H", "C-062", "exit 1, stderr only", "echo why >&2; exit 1", OWN),
    bad("DLG-11", "H", "C-062", "exit 1, garbage", say("garbage", 1), OWN),
    bad("DLG-12", "H", "C-062", "exit 77", "exit 77", OWN),
    bad("DLG-13", "S", "C-060, C-061", "a result but exit 1", say(GOOD, 1), OWN),
    bad("DLG-14", "S", "C-061", "killed by SIGKILL", "kill -9 $$", OWN),
    bad("DLG-15", "S", "C-061", "killed by SIGSEGV", "ulimit -c 0; kill -11 $$", OWN),
    row("DLG-17", "H", "a delegate's child must not hold us up", "a child keeps stdout open: OK promptly", (t) => {
      const s = stubbed(t, { ADD: `sleep 15 & ${say(GOOD)}` });
      const run = t.call("ADD", s.conf, { set: s.set, timeoutMs: 8000 });
      t.result(run, t.settings.spec);
    }),
    row("DLG-18", "H", "bounded memory", "a 16 MiB result: OK or E", (t) => {
      const add = `printf '{"cniVersion":"1.0.0","ips":[{"address":"198.51.100.7/24"}],"x":"'
        head -c 16777216 /dev/zero | tr '\\0' y; printf '"}'`;
      const s = stubbed(t, { ADD: add });
      const run = t.call("ADD", s.conf, { set: s.set });
      if (run.status === 0) t.result(run, t.settings.spec);
      else t.error(run);
    }),
    row("DLG-19", "G", "EPIPE to the delegate is no failure", "the delegate ignores a large stdin: OK", bigStdin),
    row("DLG-20", "S", "C-132", "writes to stderr, succeeds: OK, text on our stderr", (t) => {
      const s = stubbed(t, { ADD: `echo by-the-way >&2; ${say(GOOD)}` });
      const run = t.call("ADD", s.conf, { set: s.set });
      t.result(run, t.settings.spec);
      t.expect(run.stderr.includes("by-the-way"), "the delegate's stderr", describeRun(run));
    }),
    good("DLG-21a", "G", "C-138", "no cniVersion in the result", { ips: [ADDRESS] }),
    good("DLG-21b", "G", "C-138", "empty cniVersion in the result", { cniVersion: "", ips: [ADDRESS] }),
    good("DLG-22a", "G", "C-138: converted", "a 0.2.0 result", { cniVersion: "0.2.0", ip4: { ip: "198.51.100.7/24" } }),
    good("DLG-22b", "G", "C-138: converted", "a 0.4.0 result", {
      cniVersion: "0.4.0",
      ips: [{ version: "4", ...ADDRESS }],
    }),
    good("DLG-22c", "G", "C-138: converted", "a 1.0.0 result for 0.2.0", GOOD, { cniVersion: "0.2.0" }),
    bad("DLG-23", "S", "C-138", "cniVersion 9.9.9", say({ cniVersion: "9.9.9", ips: [ADDRESS] })),
    bad("DLG-24", "H", "C-138", "cniVersion a number", say({ cniVersion: 1, ips: [ADDRESS] })),
    bad("DLG-25a", "S", "C-140", "address nope", say(ips({ address: "nope" }))),
    bad("DLG-25b", "S", "C-140", "address without prefix", say(ips({ address: "198.51.100.7" }))),
    row("DLG-26", "S", "C-134", "an interface index of the delegate: ignored (that of the container's) or E", (t) => {
      const s = stubbed(t, { ADD: say(ips({ ...ADDRESS, interface: 5 })) });
      const result = t.okOrRefused(s.conf, ANY, { set: s.set });
      if (result !== undefined) t.equal(result.ips?.[0]?.interface, t.main.hostInterfaces, "index");
    }),
    row("DLG-27", "S", "C-134", "interfaces of the delegate: not copied", (t) => {
      const s = stubbed(t, { ADD: say({ ...GOOD, interfaces: [{ name: "x" }] }) });
      t.equal(
        t
          .add(s.conf, { set: s.set })
          .interfaces?.slice(t.main.hostInterfaces)
          .map((i) => i.name),
        ["eth0"],
        "interfaces",
      );
    }),
    row("DLG-28", "H", "V10", '0.4.0 with version "6" for a v4 address: corrected, or E', (t) => {
      const answer = { cniVersion: "0.4.0", ips: [{ version: "6", ...ADDRESS }] };
      const s = stubbed(t, { ADD: say(answer) }, { cniVersion: "0.4.0" });
      t.okOrRefused(s.conf, ANY, { set: s.set });
    }),
    row("DLG-29", "H", "V3", "gateway of the other family: E, or dropped", (t) => {
      const s = stubbed(t, { ADD: say(ips({ address: "198.51.100.7/24", gateway: "2001:db8::1" })) });
      t.okOrRefused(s.conf, ANY, { set: s.set });
    }),
    row(
      "DLG-30",
      "S",
      ROLLBACK,
      "gateway outside the subnet with a default route: E undone, or the route really there",
      (t) => {
        const address = { address: "198.51.100.7/24", gateway: "192.0.2.200" };
        const s = stubbed(t, { ADD: say({ ...ips(address), routes: [{ dst: "0.0.0.0/0" }] }) });
        if (t.okOrRefused(s.conf, ANY, { set: s.set }) === undefined) t.equal(s.stub.commands(), "ADD DEL", "calls");
        else
          t.expect(
            t.routes().some((r) => r.dst === "0.0.0.0/0" && r.gateway === "192.0.2.200"),
            "the route",
            "none",
          );
      },
    ),
    row("DLG-31", "H", ROLLBACK, "the same address twice: E undone, or once in result and kernel", (t) => {
      const s = stubbed(t, { ADD: say(ips(ADDRESS, ADDRESS)) });
      const result = t.okOrRefused(s.conf, ANY, { set: s.set });
      if (result === undefined) t.equal(s.stub.commands(), "ADD DEL", "calls");
      else t.equal(result.ips?.length, 1, "addresses");
    }),
    ...["198.51.100.7/0", "0.0.0.0/0", "224.0.0.5/24"].map((address, n) =>
      bad(`DLG-32${"abc"[n]}`, "H", "an address no interface can have", address, say(ips({ address }))),
    ),
    row("DLG-33", "H", "v4-mapped address", "::ffff:198.51.100.7/120: E with nothing left, or normalised", (t) => {
      const s = stubbed(t, { ADD: say(ips({ address: "::ffff:198.51.100.7/120" })) });
      t.okOrRefused(s.conf, ANY, { set: s.set });
    }),
    good(
      "DLG-34",
      "S",
      "IPv6 waits for duplicate address detection",
      "v6 only with gateway",
      ips({ address: "2001:db8:7::7/64", gateway: "2001:db8:7::1" }),
    ),
    row(
      "DLG-35",
      "S",
      "C-051, 5.1 reading 25",
      "dns of the delegate, none in the configuration: the delegate's",
      (t) => {
        const dns = { nameservers: ["192.0.2.53"] };
        const s = stubbed(
          t,
          { ADD: say({ cniVersion: "0.4.0", ips: [{ version: "4", ...ADDRESS }], dns }) },
          { cniVersion: "0.4.0" },
        );
        t.equal(t.add(s.conf, { set: s.set }).dns, dns, "dns");
      },
    ),
    ...[
      { nameservers: ["1.1.1.1\noptions x"] },
      { domain: "a\nnameserver 6.6.6.6" },
      { search: ["a b"] },
      { options: ["a\u0000b"] },
    ].map((dns, n) =>
      bad(
        `DLG-75${"abcd"[n]}`,
        "H",
        "lines of a resolv.conf",
        `dns ${JSON.stringify(dns)}`,
        say({ ...ips(ADDRESS), dns }),
        [999],
      ),
    ),
    row("DLG-36", "G", "5.1 reading 25", "dns in both: the configuration's", (t) => {
      const dns = { nameservers: ["192.0.2.54"] };
      const s = stubbed(t, { ADD: say({ ...GOOD, dns: { nameservers: ["192.0.2.53"] } }) }, { dns });
      t.equal(t.add(s.conf, { set: s.set }).dns, dns, "dns");
    }),
    good(
      "DLG-37",
      "H",
      "many addresses",
      "300 addresses",
      ips(...Array.from({ length: 300 }, (_, n) => ({ address: `10.9.${n >> 8}.${n & 255}/16` }))),
    ),
    row("DLG-38", "S", ROLLBACK, "a route that fails after a good result: E, one DEL, nothing left", (t) => {
      const routes = [{ dst: "203.0.113.0/24", gw: "2001:db8::1" }];
      undone(t, say({ ...GOOD, routes }), ANY);
    }),
    ...[
      ["a", "11"],
      ["b", -1],
      ["c", 1.5],
    ].map(([letter, code]) =>
      bad(`DLG-52${letter}`, "H", "C-062", `error code ${JSON.stringify(code)}`, say({ code, msg: "m" }, 1), OWN),
    ),
    ...['{"code":107}', '{"msg":"m"}', "null"].map((doc, n) =>
      bad(
        `DLG-53${"abc"[n]}`,
        "H",
        "C-061: code and msg always",
        `error object ${doc}`,
        say(doc, 1),
        n === 0 ? ANY : OWN,
      ),
    ),
    bad("DLG-54", "H", "C-062", "error object followed by text", say('{"code":107,"msg":"m"} and more', 1), OWN),
  ],
  fixed: ["bridge", "ptp"].map((type, n) =>
    row(
      `DLG-69${"ab"[n]}`,
      "H",
      "a failed ADD leaves no trace",
      `${type}: nothing left`,
      (t) => {
        const stub = t.stub({ ADD: say({ code: 107, msg: "no" }, 1) });
        const conf = { cniVersion: "1.0.0", name: "net1", type, bridge: "cbr0", ipam: { type: "stub" } };
        // Others may use one that ADD makes by the time it fails: it may stay.
        if (type === "bridge") t.sh("ip link add cbr0 address 02:00:00:00:00:b0 up type bridge");
        const before = t.picture();
        const run = t.call("ADD", conf, { set: { CNI_PATH: `${stub.bin}:${t.settings.bin}` } });
        if (run.status === 0) throw new Mismatch("E(107)", describeRun(run));
        t.unchangedSince(before);
      },
      { needs: [`plugin:${type}`] },
    ),
  ),
};
