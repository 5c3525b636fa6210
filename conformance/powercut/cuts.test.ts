import { describe, expect, test } from "vitest";
import { Random } from "../../src/testing/random.ts";
import {
  type Answer,
  begin,
  cutPoints,
  cutsAt,
  end,
  judgeFiles,
  judgeLeases,
  owed,
  type Step,
  unlessRenamed,
  verdictOf,
} from "./cuts.ts";
import type { Entry } from "./log.ts";

const write = (more: Partial<Entry> = {}): Entry => ({
  at: 0,
  data: Buffer.alloc(512),
  flush: false,
  sure: false,
  ...more,
});
const flush = write({ data: Buffer.alloc(0), flush: true, sure: true });
const mark = (text: string): Entry => ({ ...write(), mark: text });
const step = (id: number, command: "ADD" | "DEL", container: string): Step => ({
  ...{ id, command, container },
  plugin: "host-local",
  network: "net1",
});

const steps = [step(1, "ADD", "a"), step(2, "DEL", "a"), step(3, "ADD", "b")];
const answers = new Map<number, Answer>([
  [1, { status: 0, address: "198.51.100.2" }],
  [2, { status: 0 }],
  [3, { status: 0, address: "198.51.100.2" }],
]);
//                    0              1        2      3            4              5            6              7        8
const log = [
  mark(begin(1)),
  write(),
  flush,
  mark(end(1)),
  mark(begin(2)),
  mark(end(2)),
  mark(begin(3)),
  write(),
  flush,
  mark(end(3)),
];

describe("the power is cut", () => {
  test("after each flush and each acknowledgement", () => {
    expect(cutPoints(log)).toEqual([3, 4, 6, 9, 10]);
  });
  test("with nothing, all, or parts of what was not flushed", () => {
    const cuts = cutsAt(log, 4, 5, new Random(1));
    expect(cuts).toEqual([
      { at: 4, more: [], until: 4 },
      { at: 4, more: [7], until: 8 },
    ]);
    const three = [write(), write(), write(), flush];
    const more = cutsAt(three, 0, 9, new Random(1)).map((cut) => cut.more);
    expect(more).toHaveLength(11);
    expect(more.every((part) => part.every((n) => n < 3))).toBe(true);
  });
});

test("what came after a write that was durable by itself is never there without it: it may have been written because of it", () => {
  const fua = write({ sure: true });
  const two = [write(), fua, write(), flush];
  expect(cutsAt(two, 0, 3, new Random(1))).toEqual([{ at: 0, more: [], until: 0 }]);
  expect(cutsAt(two, 2, 0, new Random(1)).map(({ more }) => more)).toEqual([[], [2]]);
});

describe("a lease is owed", () => {
  test("from its ADD's acknowledgement to the beginning of its DEL", () => {
    const at = (n: number) => owed(log, { at: n, more: [], until: n }, steps, answers).must;
    expect(at(3)).toEqual(new Map());
    expect(at(4)).toEqual(new Map([["net1/198.51.100.2", "a"]]));
    expect(at(5)).toEqual(new Map());
    expect(at(10)).toEqual(new Map([["net1/198.51.100.2", "b"]]));
  });
  test("not when a later write is there, which may be its DEL's", () => {
    expect(owed(log, { at: 4, more: [7], until: 8 }, steps, answers).must).toEqual(new Map());
  });
  test("to its container alone", () => {
    const has = { must: new Map([["net1/198.51.100.2", "a"]]), begun: new Set(["a"]) };
    expect(judgeLeases(new Map([["net1/198.51.100.2", "a eth0"]]), has)).toEqual([]);
    expect(judgeLeases(new Map(), has)).toEqual(["net1/198.51.100.2 was given to a, and is free"]);
    expect(judgeLeases(new Map([["net1/198.51.100.2", "b eth0"]]), has)).toHaveLength(2);
    expect(judgeLeases(new Map([["net1/198.51.100.2", ""]]), has)).toHaveLength(1);
  });
});

describe("without a journal", () => {
  const msg = (text: string) => `ADD in net2: {     "cniVersion": "1.1.0",     "code": 7,     "msg": "${text}",`;
  const refused = msg('dataDir \\"/var/lib/cni/networks/net2\\" is refused: it contains a symbolic link');
  const locked = msg("/var/lib/cni/networks/net2/lock is not a lock file: it has more than one hard link");
  const file = "left over: file /var/lib/cni/networks/net2";
  const lease = "left over: dir /var/lib/cni/networks/net1/198.51.100.2";
  const kept = 'after GC net2/198.51.100.10 is still "a eth0"';
  const all = [refused, locked, file, kept, lease];
  const due = (used: string[], must: [string, string][] = []) => ({ used: new Set(used), must: new Map(must) });
  test("a new name may be another file's, until its call is acknowledged", () => {
    expect(unlessRenamed(all, due(["net1"]))).toEqual([]);
    expect(unlessRenamed(all, due(["net1", "net2"]))).toEqual([refused, locked, file, kept]);
    expect(unlessRenamed([lease], due(["net1"], [["net1/198.51.100.2", "a"]]))).toEqual([lease]);
  });
  test("nothing else may", () => {
    const others = [
      kept,
      "left over: file /var/lib/cni/networks/net1/tmp",
      "net1/198.51.100.2 was given to a, and is free",
      msg("linkat /var/lib/cni/networks/net2/198.51.100.2: no such file or directory"),
    ];
    expect(unlessRenamed(others, due([]))).toEqual(others);
    expect(unlessRenamed([refused, others[2]!], due([]))).toEqual([others[2]]);
  });
  test("the first ADD that is acknowledged ends that for its network", () => {
    const used = (n: number) => owed(log, { at: n, more: [], until: n }, steps, answers).used;
    expect(used(3)).toEqual(new Set());
    expect(used(4)).toEqual(new Set(["net1"]));
    expect(used(10)).toEqual(new Set(["net1"]));
  });
});

describe("after GC no file is left", () => {
  const lib = "/var/lib/cni";
  const records = `${lib}/podnic/host-device`;
  const judged = (...files: string[]) => judgeFiles(files, { begun: new Set(["ctr-4"]) }, ["net1"]);
  test("but leases, locks, and what calls that the cut ended had begun to write", () => {
    const may = [
      ...[lib, `${lib}/podnic`].map((dir) => `dir ${dir}/${dir === lib ? "networks" : "host-device"}`),
      ...["198.51.100.10", "lock", "last_reserved_ip.0"].map((name) => `file ${lib}/networks/net1/${name}`),
      `file ${lib}/networks/net2/.podnic.tmp`,
      ...["net3:ctr-4:eth0.json", ".net3:ctr-4:eth0.json.tmp", "lock"].map((name) => `file ${records}/${name}`),
      ...[`dir ${lib}/lost+found`, `file ${lib}/lost+found/#12`, "dir /run/podnic/host-local"],
    ];
    expect(judged(...may)).toEqual([]);
  });
  test.each([
    `file ${lib}/networks/.left.7`,
    `file ${lib}/networks/net1/.podnic.tmp`,
    `file ${lib}/networks/net1/.198.51.100.10.tmp.7`,
    `file ${lib}/networks/net2/.198.51.100.10.tmp.7`,
    `dir ${lib}/networks/net1/198.51.100.10`,
    `file ${records}/tmp.7`,
    `file ${records}/net3:ctr-new:eth0.json`,
    `file ${lib}/podnic/rec.7`,
    `dir ${lib}/podnic/left`,
    `link ${lib}/left`,
    "file /run/podnic/left",
  ])("%s is one", (file) => {
    expect(judged(file)).toEqual([`left over: ${file}`]);
  });
});

test("a verdict needs disks that were looked at", () => {
  const good = { looks: 3, asExpected: true };
  expect(verdictOf([good, good])).toBe(0);
  expect(verdictOf([good, { looks: 3, asExpected: false }])).toBe(1);
  expect(verdictOf([good, { looks: 0, asExpected: true }])).toBe(3);
  expect(verdictOf([])).toBe(3);
});
