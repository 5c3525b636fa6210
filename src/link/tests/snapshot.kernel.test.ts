import { beforeAll, expect, it } from "vitest";
import { host } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { getLink } from "../link.ts";
import { ownNamespace } from "../namespace.ts";
import { restoreLink, snapshotLink } from "../snapshot.ts";

beforeAll(() => {
  enterSandbox();
});

/** What the body writes to stderr. */
function logged(body: () => void): string {
  const { write } = host;
  let text = "";
  host.write = (fd, data) => {
    if (fd !== 2) return write.call(host, fd, data);
    text += new TextDecoder().decode(data);
    return data.length;
  };
  try {
    body();
  } finally {
    host.write = write;
  }
  return text;
}

it("restores everything but an alternative name that another device has taken, and logs that name's refusal", () => {
  sh("ip link add a0 type veth peer name b0; ip link property add dev a0 altname uplink0");
  const { route } = ownNamespace();
  const saved = snapshotLink(getLink(route, "a0")!);
  sh(
    "ip link property del dev a0 altname uplink0; ip link property add dev b0 altname uplink0; ip link set a0 mtu 1400",
  );
  const text = logged(() => restoreLink(route, getLink(route, "a0")!, saved));
  expect(text).toContain("cannot restore a property");
  expect(text).toContain('device="a0"');
  expect(getLink(route, "a0")).toMatchObject({ mtu: 1500, altnames: [] });
  expect(logged(() => restoreLink(route, getLink(route, "a0")!, { ...saved, altnames: [] }))).toBe("");
});
