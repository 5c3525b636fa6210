// The file systems, and which fsyncs each needs.

export interface FileSystem {
  readonly name: string;
  readonly type: string;
  readonly megabytes: number;
  /** Makes it on the file named $1. */
  readonly make: string;
  /** Repairs it before a mount; without, the kernel does that itself. */
  readonly repair?: string;
  /** Faults of step.c that have to be noticed; the others say how much they matter. */
  readonly needs: readonly string[];
}

/** The smallest that each allows: what is zero takes no memory, but a journal does. */
export const fileSystems: readonly FileSystem[] = [
  {
    name: "ext4",
    type: "ext4",
    megabytes: 32,
    make: "mkfs.ext4 -q -F -J size=4 -N 512 -E nodiscard,lazy_itable_init=1",
    needs: ["fsync-file"],
  },
  {
    name: "xfs",
    type: "xfs",
    megabytes: 64,
    make: "mkfs.xfs -q -f --unsupported",
    needs: ["fsync-file"],
  },
  { name: "btrfs", type: "btrfs", megabytes: 128, make: "mkfs.btrfs -q -f", needs: ["fsync-file"] },
  {
    name: "ext4 without a journal",
    type: "ext4",
    megabytes: 32,
    make: "mkfs.ext4 -q -F -O ^has_journal -N 512 -E nodiscard,lazy_itable_init=1",
    repair: "e2fsck -f -y",
    needs: ["fsync-file"],
  },
];
