import { expect, it } from "vitest";
import { Failure } from "../../errors.ts";
import { SystemError } from "../../host/host.ts";
import { enterSandbox } from "../../testing/sandbox.ts";
import { lookOrDoubt } from "../visible.ts";

enterSandbox();

it("a doubt is what the look says, or that nobody could look, which may pass", () => {
  const told = new Failure("failed", "cannot tell which attachment this belongs to");
  const look = (error: Error) =>
    lookOrDoubt("/run/netns/pod", () => {
      throw error;
    });
  expect(look(told)).toEqual({ doubt: told });
  const { doubt } = look(new SystemError("setns", 1, "EPERM", "operation not permitted"));
  expect(doubt?.kind).toBe("try again");
  expect(doubt?.message).toContain("cannot look into the network namespace /run/netns/pod");
  expect(lookOrDoubt("/run/netns/none", () => "seen")).toEqual({});
});
