// Whether a namespace is the one that a record names: paths and inodes are given again, cookies are not.
import { expect, it } from "vitest";
import type { NetNs } from "../namespace.ts";
import { isNamed, type NamedNamespace } from "../return.ts";

const seen = { path: "/run/netns/c1", dev: 4, ino: 4026532000, cookie: "0000000000000007" } as NetNs;
const recorded: NamedNamespace = { path: "/run/netns/c1", dev: 4, ino: 4026532000, cookie: "0000000000000007" };
const { cookie: _, ...old } = recorded;

it.each<[string, NamedNamespace, Partial<NetNs>, boolean]>([
  ["the same", recorded, {}, true],
  ["another inode at its path", { ...recorded, ino: 4026532001 }, {}, false],
  ["another inode, in a record without cookie", { ...old, ino: 4026532001 }, {}, false],
  ["the inode on another nsfs", { ...recorded, dev: 5 }, {}, false],
  ["its inode, given again", { ...recorded, cookie: "0000000000000006" }, {}, false],
  ["its inode, on a kernel that tells no cookie", recorded, { cookie: "" }, true],
  ["its inode, in a record without cookie", old, {}, true],
  ["nothing known of it but the path (sriov-cni's)", { path: "/run/netns/c1", dev: 0, ino: 0 }, {}, true],
])("%s", (_what, one, now, same) => expect(isNamed({ ...seen, ...now }, one)).toBe(same));
