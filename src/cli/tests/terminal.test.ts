// Tables on terminals of different widths, and in a pipe.
import { afterEach, expect, it } from "vitest";
import { installHost, SystemError } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import { type EdgeHost, installEdge } from "../../testing/edge.ts";
import { note, printTable } from "../terminal.ts";

afterEach(() => installHost(new NodeHost()));

/** A terminal with this number of columns; undefined for a pipe. */
function terminal(columns: number | undefined, env: Record<string, string> = { NO_COLOR: "1" }): EdgeHost {
  const edge = installEdge({ env });
  edge.ioctl = (_fd, _request, data) => {
    if (columns === undefined) throw new SystemError("ioctl", 25, "ENOTTY", "not a terminal");
    data.set([24, 0, columns & 255, columns >> 8]);
    return 0;
  };
  return edge;
}

const head = ["NAME", "VLAN", "ABOUT"];
const rows = [
  ["eth0", "-", "the first of them, which has much to be said about it"],
  ["a-longer-one", "-", "-"],
];

it("a pipe gets every column, whole", () => {
  const edge = terminal(undefined);
  printTable(head, rows);
  expect(edge.stdout).toBe(
    [
      "NAME          VLAN  ABOUT",
      "eth0          -     the first of them, which has much to be said about it",
      "a-longer-one  -     -\n",
    ].join("\n"),
  );
});

it("a table may have more rows than a function may have arguments", () => {
  const edge = terminal(undefined);
  printTable(["ADDRESS"], Array<string[]>(200_000).fill(["10.0.0.1"]));
  expect(edge.stdout.length).toBe("10.0.0.1\n".length * 200_001 - 1);
});

it("a terminal gets no column in which nothing is said, and the last one up to its edge", () => {
  const edge = terminal(40);
  printTable(head, rows);
  expect(edge.stdout).toBe("NAME          ABOUT\neth0          the first of them, which …\na-longer-one  -\n");
});

it("on a narrow terminal lines wrap rather than lose what they say", () => {
  const edge = terminal(30);
  printTable(head, rows);
  expect(edge.stdout).toContain("the first of them, which has much to be said about it\n");
});

it("colours are for terminals that want them", () => {
  const cells = [[{ text: "lost", colour: "red" as const }]];
  const shown = (columns: number | undefined, env: Record<string, string>): boolean => {
    const edge = terminal(columns, env);
    printTable(["STATE"], cells);
    return edge.stdout.includes("\x1b[31mlost\x1b[0m");
  };
  expect([shown(80, {}), shown(undefined, {}), shown(80, { NO_COLOR: "1" }), shown(80, { TERM: "dumb" })]).toEqual([
    true,
    false,
    false,
    false,
  ]);
});

it("what a pod wrote does not drive the terminal", () => {
  const edge = terminal(80);
  printTable(["NAME"], [["x\x1b[2J\x07"]]);
  note("alias \x1b[2J\nsecond line");
  expect(edge.stdout + edge.stderr).not.toContain("\x1b");
  expect(edge.stderr).toContain("\nsecond line\n");
});
