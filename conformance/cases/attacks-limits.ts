// What a configuration or a limit of the process can cost or break: processor time, memory, stack, file size (M4, L3, L4).
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, ofPlugin } from "./attacks-shared.ts";

/** /24 networks, or /64, in sets. */
const sets = (count: number, family: 4 | 6, from = 0): Config[][] =>
  Array.from({ length: count }, (_, set) =>
    Array.from({ length: 64 }, (_, n) => {
      const at = from + set * 64 + n;
      return { subnet: family === 4 ? `10.${at >> 8}.${at & 255}.0/24` : `2001:db8:0:${at.toString(16)}::/64` };
    }),
  );

/** `runtimeconfig` in every mixture of cases, as Go's decoder takes them all. */
const spellings = Array.from({ length: 8191 }, (_, n) =>
  [..."runtimeconfig"].map((char, bit) => ((n >> bit) & 1 ? char.toUpperCase() : char)).join(""),
);

/** The guest's processor is emulated, and 10 to 20 times slower. */
const SECONDS = process.env.PODNIC_VM === "1" ? 25 : 1;

/** The costliest configurations we know that are valid, or nearly. The limit ends a process that uses more than a second of processor time. */
const costly = (id: string, what: string, plugin: string, stdin: (t: Trial) => Config, first = "ADD"): MainCase =>
  row(
    id,
    "H",
    "M4: a configuration of 1 MiB costs less than 1 s of processor time",
    `${plugin}: ${what}: ${first} and DEL end by themselves`,
    (t) => {
      const conf = stdin(t);
      const wrap = `ulimit -t ${SECONDS}; exec "$@"`;
      for (const command of [first, "DEL"]) {
        const run = t.call(command, conf, { wrap, plugin });
        t.expect(
          run.signal === null && !run.timedOut && (run.status ?? 200) < 128,
          `an end of ${command}`,
          describeRun(run),
        );
      }
    },
    { needs: [`plugin:${plugin}`] },
  );

const manyKeys = Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`key${n}`, n]));

const costlyOnes = [
  costly("ATK-M4a", "128 sets of 64 ranges of IPv6, excluded ones among them", "host-local", (t) =>
    conf(
      t,
      { ranges: sets(64, 6), exclude: Array.from({ length: 64 }, (_, n) => `2001:db8:0:${n.toString(16)}::/65`) },
      { runtimeConfig: { ipRanges: sets(64, 6, 8192) } },
    ),
  ),
  costly(
    "ATK-M4b",
    "128 sets of 64 ranges of IPv4, and 1,024 addresses in prevResult",
    "host-local",
    (t) =>
      conf(
        t,
        { ranges: sets(64, 4) },
        {
          runtimeConfig: { ipRanges: sets(64, 4, 8192) },
          prevResult: {
            cniVersion: "1.0.0",
            ips: Array.from({ length: 1024 }, (_, n) => ({ address: `10.63.${n >> 8}.${n & 255}/8` })),
          },
        },
      ),
    "CHECK",
  ),
  costly("ATK-M4c", "a name of 1 MB", "host-local", (t) => conf(t, {}, { name: "n".repeat(1_000_000) })),
  costly("ATK-M4d", "paths of 900 kB", "host-local", (t) => {
    const path = `/run/cni/${"a/".repeat(225_000)}`;
    return conf(t, { dataDir: path }, { logFile: `${path}x.log` });
  }),
  costly("ATK-M4e", "8,191 spellings of runtimeConfig", "macvlan", () =>
    ofPlugin("macvlan", { master: "up0", ...Object.fromEntries(spellings.map((key, n) => [key, { [`a${n}`]: 1 }])) }),
  ),
  ...["macvlan", "ipvlan", "host-device", "sriov", "static"].map((plugin, n) =>
    costly(`ATK-M4${"fghij"[n]}`, "60,000 keys, and an ipam.type of 200 kB", plugin, () =>
      ofPlugin(plugin, { master: "up0", device: "nosuch", ...manyKeys, ipam: { type: "x".repeat(200_000) } }),
    ),
  ),
];

/** Keys of which an engine's table puts all into one place: it may be looked through for each of them (F7). */
const colliding = {
  numbers: (count: number) => Array.from({ length: count }, (_, n) => String(n * 65_536)),
  /** Of equal h * 263 + c. */
  texts: (count: number) =>
    Array.from({ length: count }, (_, n) =>
      Array.from({ length: 15 }, (_, bit) =>
        (n >> bit) & 1 ? "A\u0201" : `B${String.fromCharCode(0x201 - 263)}`,
      ).join(""),
    ),
};

const withKeys = (keys: string[]) => () =>
  ofPlugin("host-device", { device: "nosuch", ...Object.fromEntries(keys.map((key) => [key, 1])) });

costlyOnes.push(
  costly("ATK-M4k", "32,767 numbers of one hash as keys", "host-device", withKeys(colliding.numbers(32_767))),
  costly("ATK-M4l", "16,000 texts of one hash as keys", "host-device", withKeys(colliding.texts(16_000))),
  costly("ATK-M4m", "1,000 texts of one hash as keys, in each of 20 objects", "host-device", () =>
    ofPlugin("host-device", {
      device: "nosuch",
      objects: Array(20).fill(Object.fromEntries(colliding.texts(1000).map((key) => [key, 1]))),
    }),
  ),
);

/** A limit that a runtime may have: an answer, never a signal. */
const limited = (id: string, what: string, plugin: string, wrap: string, keys: (t: Trial) => Config): MainCase =>
  row(
    id,
    "H",
    "L3, L4, L5: limits of the process end in a document",
    `${plugin} with ${what}: success or one error, no signal`,
    (t) => {
      for (const command of ["ADD", "DEL"]) {
        const run = t.call(command, keys(t), { wrap, plugin });
        t.expect(run.signal === null && (run.status ?? 200) < 128, `an end of ${command}`, describeRun(run));
        if (run.status !== 0) t.error(run);
      }
    },
    { needs: [`plugin:${plugin}`] },
  );

/** More and more address space, from `more` KiB above where the plugin still starts: the document that says so needs memory as well. */
const shortOfMemory = (id: string, what: string, plugin: string, more: number, keys: (t: Trial) => Config): MainCase =>
  row(
    id,
    "H",
    "L5: out of memory ends in a document",
    `${plugin} with ${what}, in address space that is just enough to start: success or one error, no signal`,
    (t) => {
      const stdin = keys(t);
      const limit = (kib: number) => ({ wrap: `ulimit -v ${kib}; exec "$@"`, plugin });
      let [no, yes] = [1024, 1 << 20];
      while (yes - no > 16) {
        const middle = (no + yes) >> 1;
        // An answer of the plugin's own, for which it needs its interpreter and a stack.
        if (t.call("ADD", "{}", limit(middle)).stdout.startsWith("{")) yes = middle;
        else no = middle;
      }
      // The kernel begins the stack at a random place, so that the least space differs from start to start by some pages.
      for (let kib = yes + more; kib < yes + more + 2048; kib += 64) {
        const run = t.call("ADD", stdin, limit(kib));
        t.expect(run.signal === null && (run.status ?? 200) < 128, `an end with ${kib} KiB`, describeRun(run));
        if (run.status !== 0) t.error(run);
        else t.call("DEL", stdin, { plugin });
      }
    },
    { needs: [`plugin:${plugin}`] },
  );

export const attacksLimits: CaseTable = {
  perMain: [],
  fixed: [
    ...costlyOnes,
    limited("ATK-L3a", "files of 0 bytes (ulimit -f 0)", "host-local", 'ulimit -f 0; exec "$@"', (t) => conf(t)),
    limited("ATK-L3b", "files of 0 bytes (ulimit -f 0)", "host-device", 'ulimit -f 0; exec "$@"', (t) =>
      ofPlugin("host-device", { device: t.freshDevice() }),
    ),
    row(
      "ATK-L7a",
      "H",
      "L7: no configuration fills a disk or the runtime's memory with log lines",
      "1,000 gateways outside the subnet, a name of 32,000 characters, a route that the kernel refuses: E, less than 64 KiB on stderr",
      (t) => {
        const routes = Array.from({ length: 1000 }, (_, n) => ({
          dst: `10.${n >> 8}.${n & 255}.0/24`,
          gw: `172.16.${n >> 8}.${n & 255}`,
        }));
        const refused = { dst: "10.200.0.0/24", gw: "10.255.0.1", scope: 254 };
        const ipam = {
          type: "static",
          addresses: [{ address: "10.255.0.2/24" }],
          routes: [...routes.slice(1), refused],
        };
        const keys = { cniVersion: "1.1.0", name: "n".repeat(32_000), master: "up0", ipam };
        const run = t.call("ADD", ofPlugin("macvlan", keys), { plugin: "macvlan" });
        // ADD has come to the routes.
        const { msg } = t.error(run);
        t.expect(/\broute\b/.test(msg), "an error about a route", msg);
        t.expect(run.stderr.length < 65_536, "less than 64 KiB on stderr", String(run.stderr.length));
      },
      { needs: ["plugin:macvlan", "plugin:static", "spec:1.1.0:macvlan"] },
    ),
    shortOfMemory("ATK-L5a", "JSON of 9,000 levels", "macvlan", 64, () =>
      ofPlugin("macvlan", { master: "up0", deep: JSON.parse("[".repeat(9000) + "]".repeat(9000)) }),
    ),
    shortOfMemory("ATK-L5b", "60,000 texts", "host-local", 1280, (t) =>
      conf(t, { texts: Array.from({ length: 60_000 }, (_, n) => `text ${n}`) }),
    ),
    ...[256, 512, 1024].map((size, n) =>
      limited(
        `ATK-L4${"abc"[n]}`,
        `a stack of ${size} KiB at most, a fifth of it environment, and deep JSON`,
        "macvlan",
        `export BIG=$(head -c ${size * 200} /dev/zero | tr '\\0' x | head -c 120000); ulimit -s ${size}; exec "$@"`,
        () => ofPlugin("macvlan", { master: "up0", deep: JSON.parse("[".repeat(4000) + "]".repeat(4000)) }),
      ),
    ),
  ],
};
