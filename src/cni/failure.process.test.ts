// What podnic undoes if a call fails, and how it reports this.

import { beforeEach, describe, expect, test, vi } from "vitest";
import { Failure } from "../errors.ts";
import { SystemError } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { type Edge, installEdge } from "../testing/edge.ts";
import { type Answer, address, answerWith, config, run } from "../testing/recorder.ts";
import { AnsweredFailure, toFailure } from "./failure.ts";
import type { Call } from "./plugin.ts";
import { emptyResult, type Result } from "./result.ts";

// @ts-expect-error written by scripts/vitest/fixture.ts
vi.mock("#validators", () => import("../../generated/fixture.mjs"));

beforeEach(() => answerWith());

describe("undo", () => {
  function undone(fails: (call: Call) => Result, edge: Edge = {}): Answer & { undos: string[] } {
    const undos: string[] = [];
    answerWith((call) => {
      for (const what of ["first", "second"])
        call.transaction.step(
          what,
          () => {},
          () => undos.push(what),
        );
      return fails(call);
    });
    return { ...run("ADD", config, {}, edge), undos };
  }

  test("a failed ADD is undone in reverse", () => {
    const { out, undos } = undone(() => {
      throw new Failure("not available", "no more", "wait");
    });
    expect([out, undos]).toEqual([
      { cniVersion: "1.0.0", code: 50, msg: "no more", details: "wait" },
      ["second", "first"],
    ]);
  });

  test.each(["ENOSPC", "EPIPE", "EBADF"])("a result that cannot be written (%s) is undone", (stdoutFails) => {
    const { status, undos, host } = undone(() => address, { stdoutFails });
    expect([status, undos, host.stdout]).toEqual([1, ["second", "first"], ""]);
    expect(host.stderr).toContain("stdout");
  });

  test("a result that its version cannot say is undone", () => {
    answerWith(() => emptyResult());
    const { out } = run("ADD", { ...config, cniVersion: "0.2.0" });
    expect(out).toMatchObject({ code: 7, msg: "cannot convert: no valid IP addresses" });
  });

  test("what cannot be undone is in the details", () => {
    answerWith((call) => {
      call.transaction.onRollback("giving back eth1", () => {
        throw new Error("it has gone\n");
      });
      throw new Failure("failed", "no");
    });
    expect(run("ADD").out.details).toBe(
      "Some changes were not undone: giving back eth1: it has gone\\u000a. DEL will try again to undo what belongs to the pod.",
    );
  });

  test("success commits", () => {
    const { status, undos } = undone(() => address);
    expect([status, undos]).toEqual([0, []]);
  });
});

describe("errors", () => {
  test.each([
    [0, "unlinkat", "10.1.0.2", "although podnic is root: lsattr"],
    [1000, "unlinkat", "10.1.0.2", "Run podnic as root"],
    [0, "setns", "", "Run podnic as root"],
  ])("EPERM to user %i, %s %j: %s", (user, syscall, subject, words) => {
    const edge = installEdge({});
    edge.geteuid = () => user;
    const error = new SystemError(syscall, 1, "EPERM", "operation not permitted", subject);
    expect(toFailure(error).details).toContain(words);
  });

  test.each([
    [
      new NetlinkError("ip link set eth1", 1, "EPERM", "operation not permitted", "no"),
      999,
      "ip link set eth1: operation not permitted (no)",
      "EPERM: Permission denied",
    ],
    [
      new SystemError("openat2", 28, "ENOSPC", "no space left on device", "/var/lib/x"),
      5,
      "openat2 /var/lib/x: no space left on device",
      "ENOSPC: ",
    ],
    [new SystemError("mkdir", 30, "EROFS", "read-only file system"), 5, "mkdir: read-only file system", "EROFS: "],
    [new SystemError("flock", 11, "EAGAIN", "try again"), 11, "flock: try again", "EAGAIN: "],
    [new SystemError("x", 71, "EPROTO", "protocol error"), 999, "x: protocol error", "EPROTO"],
    [new TypeError("boom"), 999, "internal error: TypeError: boom", "Please report"],
    ["text", 999, "internal error: text", "Please report"],
    [new AnsweredFailure(0, ""), 999, "failed without a message", ""],
  ])("%s", (error, code, msg, details) => {
    answerWith(() => {
      throw error;
    });
    const { out, host } = run("ADD");
    expect(out).toMatchObject({ cniVersion: "1.0.0", code, msg });
    expect(out.details).toContain(details);
    expect(host.stderr.split("\n")).toHaveLength(2);
  });

  test("input cannot forge lines of the log", () => {
    answerWith(() => {
      throw new Failure("failed", "a\u001b[2Jb\nc\u0085d\u2028e");
    });
    const { host } = run("ADD");
    expect(host.stderr).toContain("a\\u001b[2Jb\\u000ac\\u0085d\\u2028e");
    expect(host.stderr.split("\n")).toHaveLength(2);
  });
});
