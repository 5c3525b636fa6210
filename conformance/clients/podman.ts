// podman with its CNI backend: an image made of busybox, a container on a macvlan network that pings the host's side.
import { SYSTEM_PATH } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { type Client, good, type Places, show } from "./client.ts";

const PODMAN = "podman --root /run/p/root --runroot /run/p/runroot --storage-driver vfs";

function container(t: Trial, p: Places): void {
  const pool = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]], dataDir: "/run/cni/pool" };
  const list = { cniVersion: "0.4.0", name: "testnet", plugins: [{ type: "macvlan", master: "up0", ipam: pool }] };
  t.write("/run/p/net/test.conflist", JSON.stringify(list));
  t.write(
    "/run/p/containers.conf",
    `[network]\nnetwork_backend="cni"\ncni_plugin_dirs=["${p.bin}"]\nnetwork_config_dir="/run/p/net"\n` +
      `[engine]\ncgroup_manager="cgroupfs"\nevents_logger="none"\nruntime="crun"\n`,
  );
  // crun looks at the cgroups' file system; the sandbox's fresh /sys has none.
  const script = `mount -t cgroup2 none /sys/fs/cgroup; ip address add 198.51.100.1/24 dev up1
    mkdir -p /run/lock /run/p/rootfs/bin; cp "$(command -v busybox)" /run/p/rootfs/bin/
    tar -C /run/p/rootfs -c . | ${PODMAN} import - made:here >/run/p/log 2>&1
    ${PODMAN} run --rm --cgroups=disabled --network testnet made:here /bin/busybox sh -c \
      '/bin/busybox ip address show eth0; /bin/busybox ping -c 2 -W 2 198.51.100.1' 2>&1`;
  const env = { PATH: SYSTEM_PATH, HOME: "/run/p", CONTAINERS_CONF: "/run/p/containers.conf" };
  const run = show("podman run", t.run(["sh", "-ec", script], { env }));
  t.expect(good(run, "podman run").stdout.includes("bytes from 198.51.100.1"), "an answer to ping", run.stdout);
  t.expect(run.stdout.includes("198.51.100.2/24"), "the address of the pool", run.stdout);
  t.equal(t.sh("ls /run/cni/pool/testnet").split(/\s+/).filter(Boolean), ["last_reserved_ip.0", "lock"], "leases");
  t.equal(
    t
      .links("")
      .map((l) => l.name)
      .sort(),
    ["lo", "up0", "up1"],
    "links of the host",
  );
}

export const podmanClients: readonly Client[] = [
  {
    id: "PODMAN",
    expected: "a container made on the spot pings over the network; nothing is left when it has ended",
    needs: ["program:podman", "program:crun", "program:busybox", "kernel:macvlan"],
    run: container,
  },
];
