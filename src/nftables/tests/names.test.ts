import { expect, it } from "vitest";
import { isCommentOf, MARK, ownerComment, ownerMark } from "../names.ts";
import { COMMENT_LIMIT } from "../userdata.ts";

const drawn = "0123456789abcdef".repeat(4);
const owners = [
  { network: "net1", containerId: "ctr-1", ifName: "eth0" },
  { network: "net1", containerId: drawn, ifName: "eth0" },
  { network: "openshift-cnv-bridge", containerId: drawn, ifName: "net1" },
  // So little of the ID remains that it does not identify the container, so the hash must be compared.
  { network: "n".repeat(70), containerId: drawn, ifName: "net1" },
  { network: "n".repeat(20), containerId: `${"job-".repeat(20)}1`, ifName: "net1" },
];

it.each(owners)("knows the comment of %o, and no other", (owner) => {
  const comment = ownerComment(owner);
  expect(comment.startsWith(`${ownerMark(owner)}, net: `) && comment.length <= COMMENT_LIMIT).toBe(true);
  expect(ownerMark(owner)).toHaveLength(MARK);
  expect(isCommentOf(owner, comment)).toBe(true);
  for (const other of owners) if (other !== owner) expect(isCommentOf(owner, ownerComment(other))).toBe(false);
});

it("ids that begin alike are told apart, however long the comment would be", () => {
  const [a, b] = ["1", "2"].map((end) => ({
    network: "net1",
    containerId: `${"job-".repeat(20)}${end}`,
    ifName: "eth0",
  }));
  expect(ownerComment(a!).slice(MARK)).toBe(ownerComment(b!).slice(MARK));
  expect(isCommentOf(a!, ownerComment(b!))).toBe(false);
  expect(isCommentOf(a!, "")).toBe(false);
});
