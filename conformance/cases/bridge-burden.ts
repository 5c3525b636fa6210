// bridge: beside the rules of many other pods, and killed or refused half-way (B-60, B-93 to B-95). conformance/faults does the latter at
// every system call; here a plugin of anybody's shows in seconds what becomes of a few.
import { happened, injection, likelyErrors, mayStayMute, type Point, parsePoints } from "../faults/points.ts";
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, gc, hostLocal, makeBridge } from "./bridge-shared.ts";

const needs = ["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "program:nft"];
const one = rowsThatNeed(needs);
const masq = rowsThatNeed([...needs, "kernel:inet_nat"]);
const broken = (id: string, requirement: string, expected: string, run: (t: Trial) => void) =>
  masq(id, "H", requirement, expected, run, ["program:strace"]);

const MASQ: Config = { isGateway: true, ipMasq: true, ipMasqBackend: "nftables", ...hostLocal() };
const ALL: Config = { macspoofchk: true, macspoofchkBackend: "nftables", ...MASQ };

/** Rules of so many other pods, as the Go plugin makes them. */
const PODS = 1000;

function addRules(t: Trial): void {
  const each = (text: (n: number, id: string) => string) =>
    Array.from({ length: PODS }, (_, n) => text(n, `other${n}-eth0`)).join("\n");
  const note = (id: string) => `comment "macspoofchk-${id}"`;
  const mac = (n: number) => `02:00:00:00:${(n >> 8).toString(16)}:${(n & 255).toString(16)}`;
  t.write(
    "/run/case/rules.nft",
    `table bridge nat {
      ${each(
        (n, id) => `chain cni-br-iface-${id}-mac { ether saddr ${mac(n)} return ${note(id)}; drop ${note(id)}; }
          chain cni-br-iface-${id} { jump cni-br-iface-${id}-mac ${note(id)}; }`,
      )}
      chain PREROUTING { type filter hook prerouting priority -300;
        ${each((n, id) => `iifname "other${n}" jump cni-br-iface-${id} ${note(id)}`)}
      }
    }
    table inet cni_plugins_masquerade {
      chain masq_checks {
        ${each((n, id) => `ip saddr 10.200.${n >> 8}.${n & 255} ip daddr != 10.200.0.0/16 masquerade comment "${id}"`)}
      }
      chain postrouting { type nat hook postrouting priority 100;
        ip daddr 224.0.0.0/4 return; ip6 daddr ff00::/8 return; goto masq_checks; }
    }`,
  );
  t.sh("nft -f /run/case/rules.nft");
}

/** Milliseconds of CPU that ADD and DEL take, with what they wait for: the least of some rounds. */
function cost(t: Trial, config: Config): [add: number, del: number] {
  t.sh("mkdir -p /run/case");
  const least: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const wrap = `exec bash -c 'TIMEFORMAT="%3U %3S"; { time "$@" 2>&4; } 4>&2 2>/run/case/cpu' bash "$@"`;
  for (let round = 0; round < 5; round++) {
    for (const [n, command] of ["ADD", "DEL"].entries()) {
      const run = t.call(command, config, { wrap });
      t.equal(run.status, 0, run.stdout);
      const [user, system] = t.read("/run/case/cpu").trim().split(" ").map(Number);
      least[n] = Math.min(least[n]!, (user! + system!) * 1000);
    }
  }
  return least;
}

/** A call of other pods' rules would read, and not only change, them: then it costs twice as much and more. */
const LIMIT = 1.6;
/** Milliseconds that are lost in the kernel's clock. */
const SLACK = 1;

function costsTheSame(t: Trial, config: Config): void {
  const alone = cost(t, config);
  addRules(t);
  const beside = cost(t, config);
  for (const [n, command] of ["ADD", "DEL"].entries())
    t.expect(
      beside[n]! <= alone[n]! * LIMIT + SLACK,
      `${command} takes at most ${LIMIT} times the CPU time`,
      `${beside[n]} ms instead of ${alone[n]} ms`,
    );
}

/** Some points of a call, from its first to its last. */
const SOME = 6;

function pointsOf(t: Trial, command: string, config: Config): Point[] {
  const run = t.call(command, config, { wrap: 'exec strace -f -o /run/case/trace "$@"' });
  t.equal(run.status, 0, run.stdout);
  return parsePoints(t.read("/run/case/trace")).filter(({ syscall }) => !/^(exit|exit_group|clone)$/.test(syscall));
}

const some = (all: Point[]): Point[] =>
  all.filter((_, n) => Math.floor((n * SOME) / all.length) !== Math.floor(((n - 1) * SOME) / all.length));

/** After each request to the kernel about links, addresses and rules. */
const answers = (all: Point[]): Point[] => all.filter(({ syscall }) => /^recv(from|msg)$/.test(syscall));

/** Requests of an ADD from the gateway's interface on, and some before. */
const LAST = 10;

/** Runs `test` with each of some points: how to interrupt the call there, as `wrap`. */
function atPoints(
  t: Trial,
  command: string,
  config: Config,
  what: (point: Point) => string | undefined,
  test: (wrap: string, point: Point) => void,
  choose = some,
  options = "",
): void {
  makeBridge(t, options);
  t.sh("mkdir -p /run/case");
  // What the first call on a node makes, and keeps.
  t.add(config);
  t.silent("DEL", config);
  if (command === "DEL") t.add(config);
  const points = choose(pointsOf(t, command, config));
  if (command === "ADD") t.silent("DEL", config);
  let reached = 0;
  for (const point of points) {
    const fault = what(point);
    if (fault === undefined) continue;
    test(`exec strace -f -o /run/case/trace ${injection(point, fault)} "$@"`, point);
    if (happened(t.read("/run/case/trace"), fault)) reached++;
  }
  t.add(config);
  t.silent("DEL", config);
  t.equal(rules(t), "", "rules at last");
  t.expect(reached > SOME / 2, "most points reached", `${reached} of ${points.length}`);
}

const rules = (t: Trial): string => t.sh("nft list ruleset | grep -E 'ctr-1| masquerade ' || true");

function leftNothing(t: Trial, before: ReturnType<Trial["picture"]>, where: string): void {
  t.equal(rules(t), "", `rules after ${where}`);
  t.unchangedSince(before, where);
}

const inWords = ({ syscall, nth }: Point): string => `${syscall} ${nth}`;

/** ADD is killed at each of some points, and `cure` must leave nothing of it. */
function killAdd(t: Trial, config: Config, cure: () => void, choose = some, options = ""): void {
  let before: ReturnType<Trial["picture"]> | undefined;
  atPoints(
    t,
    "ADD",
    config,
    () => "signal=KILL",
    (wrap, point) => {
      before ??= t.picture();
      t.call("ADD", config, { wrap });
      cure();
      leftNothing(t, before, `a kill at ${inWords(point)}`);
    },
    choose,
    options,
  );
}

export const bridgeBurden: CaseTable = {
  perMain: [],
  fixed: [
    one("B-60a", "H", "others' rules cost nothing", "1,000 pods' rules, layer 2: ADD and DEL as fast", (t) =>
      costsTheSame(t, conf()),
    ),
    masq("B-60b", "H", "others' rules cost nothing", "1,000 pods' rules, ipMasq: ADD and DEL as fast", (t) =>
      costsTheSame(t, conf(MASQ)),
    ),
    one("B-60c", "H", "others' rules cost nothing", "1,000 pods' rules, spoof check: ADD and DEL as fast", (t) =>
      costsTheSame(t, conf({ macspoofchk: true, macspoofchkBackend: "nftables" })),
    ),
    broken("B-93a", "a kill is undone", "ADD killed at 6 system calls, DEL: nothing left", (t) =>
      killAdd(t, conf(ALL), () => t.silent("DEL", conf(ALL))),
    ),
    broken("B-93b", "a kill is undone", "ADD killed at 6 system calls, DEL without a namespace: nothing left", (t) =>
      killAdd(t, conf(ALL), () => t.silent("DEL", conf(ALL), { set: { CNI_NETNS: undefined } })),
    ),
    one(
      "B-93c",
      "H",
      "GC finds what a killed ADD left",
      "ADD killed after each request, GC: nothing left",
      (t) => {
        const config = conf({ isGateway: true, ...hostLocal() });
        killAdd(t, config, () => t.silent("GC", ...gc(config)), answers);
      },
      ["program:strace"],
    ),
    rowsThatNeed([
      "plugin:bridge",
      "spec:1.1.0:bridge",
      "plugin:host-local",
      "program:strace",
      "kernel:vlan_filtering",
    ])("B-93d", "H", "a kill is undone", "ADD killed while it makes the gateway of a VLAN, DEL: nothing left", (t) => {
      const config = conf({ vlan: 100, isGateway: true, ...hostLocal() });
      killAdd(
        t,
        config,
        () => t.silent("DEL", config),
        (all) => answers(all).slice(-LAST),
        "vlan_filtering 1",
      );
    }),
    broken("B-94", "DEL repeats", "DEL killed at 6 system calls, DEL: nothing left", (t) => {
      let before: ReturnType<Trial["picture"]> | undefined;
      atPoints(
        t,
        "DEL",
        conf(ALL),
        () => "signal=KILL",
        (wrap, point) => {
          before ??= t.picture();
          t.add(conf(ALL));
          t.call("DEL", conf(ALL), { wrap });
          t.silent("DEL", conf(ALL));
          leftNothing(t, before, `a kill at ${inWords(point)}`);
        },
      );
    }),
    broken("B-95", "a failed ADD is undone", "an error at 6 system calls of ADD: E and nothing left, or OK", (t) => {
      let before: ReturnType<Trial["picture"]> | undefined;
      atPoints(
        t,
        "ADD",
        conf(ALL),
        (point) => likelyErrors(point)[0] && `error=${likelyErrors(point)[0]}`,
        (wrap, point) => {
          before ??= t.picture();
          const run = t.call("ADD", conf(ALL), { wrap });
          if (run.status !== 0) {
            if (!mayStayMute(point)) t.error(run);
            t.unchangedSince(before, `an error at ${inWords(point)}`);
          }
          t.silent("DEL", conf(ALL));
          leftNothing(t, before, `an error at ${inWords(point)}`);
        },
      );
    }),
  ],
};
