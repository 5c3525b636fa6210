// host-device: a record that cannot be read. It says that a device was lent, and not which: nothing is forgotten while a pod may have it.
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Trial } from "../harness/trial.ts";
import { config } from "./host-device.ts";
import { inPod, RECORDS } from "./host-device-shared.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const UNREADABLE = "a record that cannot be read is not absent";
const RENAMED = "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x alias other";
/** As libcni keeps the result of ADD. */
const KEPT = `mkdir -p /var/lib/cni/results
  echo '{"kind":"cniCacheV1","result":{"interfaces":[{"name":"eth0","sandbox":"/run/netns/c1"}]}}' >/var/lib/cni/results/cni-plugin-host-device-test-ctr-1-eth0`;

/** Damages the record, and returns its path. "cut": its first part is left. */
function damage(t: Trial, text = "{"): string {
  t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
  const file = t.sh(`ls ${RECORDS}/*.json`).trim();
  if (text === "cut") t.sh(`truncate -s 400 '${file}'`);
  else t.write(file, text);
  return file;
}

export const hostDeviceRecord: CaseTable = {
  perMain: [],
  fixed: [
    ...(
      [
        ["a", "empty", ""],
        ["b", "cut off", '{"version":2,"key":{"network":"host-net"'],
        ["c", "of a later version", '{"version":99,"key":{},"device":{}}'],
      ] as const
    ).map(([letter, how, text]) =>
      one(
        `HDI-31${letter}`,
        "H",
        UNREADABLE,
        `it is ${how}, and the pod has renamed the device: E, nothing is forgotten; OK when the device is back, or the pod gone`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.add(conf);
          t.sh(RENAMED);
          const file = damage(t, text);
          t.refused("DEL", conf, [11]);
          t.equal(inPod(t).includes("x"), true, "the device in the pod");
          t.equal(t.sh(`cat ${file}`).trim(), text, "the record");
          if (letter === "b") t.sh(`ip -n c1 link set x netns $$ name ${device}`);
          else t.sh("ip netns del c1");
          t.silent("DEL", conf, letter === "b" ? {} : { set: { CNI_NETNS: undefined } });
          t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), letter === "c" ? file : "", "records left");
        },
      ),
    ),
    one(
      "HDI-38",
      "H",
      UNREADABLE,
      "GC: while the device may be in a pod, E, nothing is forgotten; one of a valid attachment, and of another network, is left alone",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.1.0", {
          device,
          ipam: { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] },
        });
        t.add(conf);
        t.sh("ip -n c1 link set eth0 alias other");
        const file = damage(t);
        const gc = (valid: object[], name = conf.name) => ({ ...conf, name, "cni.dev/valid-attachments": valid });
        t.refused("GC", gc([]), [11]);
        t.silent("GC", gc([{ containerID: "ctr-1", ifname: "eth0" }]));
        t.silent("GC", gc([], "another"));
        t.leaseCount(1, conf.name as string);
        t.equal(t.sh(`cat ${file}`).trim(), "{", "the record");
        t.sh("ip netns del c1");
        t.silent("GC", gc([]));
        t.leaseCount(0, conf.name as string);
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
      ["spec:1.1.0:host-device"],
    ),
    one(
      "HDI-39",
      "H",
      UNREADABLE,
      "GC, and the record's name was shortened, which does not say whose it is: E, and no lease is released",
      (t) => {
        const device = t.freshDevice();
        const set = { CNI_CONTAINERID: "x".repeat(250) };
        const conf = config("1.1.0", {
          device,
          ipam: { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] },
        });
        t.add(conf, { set });
        const valid = [{ containerID: set.CNI_CONTAINERID, ifname: "eth0" }];
        damage(t);
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": valid });
        t.refused("GC", { ...conf, "cni.dev/valid-attachments": [] }, [11]);
        t.sh("ip netns del c1");
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
        t.leaseCount(0, conf.name as string);
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
      ["spec:1.1.0:host-device"],
    ),
    ...(
      [
        ["a", "nothing else says which namespace it is, and its interface's name is there", "{", ""],
        ["b", "the pod renamed the device, and the record's beginning says which namespace it is", "cut", RENAMED],
        ["c", "the pod renamed the device, and libcni has the result of ADD", "{", `${RENAMED}; ${KEPT}`],
        ["d", "the pod renamed the device, and the prevResult says which namespace it is", "{", RENAMED],
      ] as const
    ).map(([letter, how, text, pod]) =>
      one(
        `HDI-40${letter}`,
        "H",
        UNREADABLE,
        `DEL without CNI_NETNS, which proves nothing: ${how}: E, nothing is forgotten; OK when the pod is gone, whatever others have`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.sh("ip netns add c2; ip link add other type veth peer name eth0 netns c2");
          const prevResult = t.add(conf);
          const file = damage(t, text);
          if (pod !== "") t.sh(pod);
          const del = letter === "d" ? { ...conf, prevResult } : conf;
          const set = { CNI_NETNS: undefined };
          if (letter === "a") t.sh("ip -n c2 link del eth0");
          t.refused("DEL", del, [11], { set });
          t.sh("ip netns del c1");
          t.silent("DEL", del, { set });
          t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), "", "records left");
        },
      ),
    ),
    one(
      "HDI-41",
      "H",
      UNREADABLE,
      "it is of an earlier boot, as after a power failure: DEL ends, whatever is in the pod of that name",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        const file = damage(t);
        t.sh(`touch -d '2001-01-01' ${file}`);
        t.sh("ip -n c1 link set eth0 alias other");
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
        t.silent("DEL", conf);
        t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), "", "records left");
      },
    ),
    one(
      "HDI-43",
      "H",
      UNREADABLE,
      "its file has a time before this boot, as from a backup, and the pod lives: DEL is E(11), all stays",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`touch -d '2001-01-01' ${damage(t)}`);
        t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 alias other name moved");
        t.refused("DEL", conf, [11]);
        t.expect(t.sh("ip -n c1 -o link show moved").includes("moved"), "the device stays in the pod", "");
      },
    ),
    one(
      "HDI-42",
      "H",
      UNREADABLE,
      "a directory has its place, with something in it or not: DEL returns the device, and ends",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        for (const inside of ["", "x"]) {
          t.add(conf);
          const file = damage(t);
          t.sh(`rm '${file}'; mkdir -p '${file}/${inside}'`);
          t.silent("DEL", conf);
          t.present(device, "");
          t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
        }
        t.silent("DEL", conf);
      },
    ),
    one(
      "HDI-32",
      "H",
      UNREADABLE,
      "it is empty, and the device is in the pod as it was told: it comes back by its alias, and the record goes",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`f=$(ls ${RECORDS}/*.json); : > "$f"`);
        t.silent("DEL", conf);
        t.gone("eth0");
        t.present(device, "");
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
    ),
  ],
};
