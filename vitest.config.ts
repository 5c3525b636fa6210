import { defineConfig } from "vitest/config";

const folders = ["src", "plugins", "scripts", "conformance", "deploy", "docs", "examples"];
const setup = {
  globalSetup: ["scripts/vitest-setup.ts"],
  setupFiles: ["src/testing/install-host.ts"],
  testTimeout: 30_000,
  hookTimeout: 60_000,
};
/** Unit tests that change the working directory or the umask, which threads share, or put a module in another's place. */
const ownProcess = [
  "src/cli/tests/validate.test.ts",
  "src/cni/{dispatch,failure}.test.ts",
  "src/config/validate.test.ts",
  "plugins/host-local/{plugin,store}.test.ts",
];
const named = (suffix: string) => folders.map((folder) => `${folder}/**/*${suffix}.test.ts`);

/** What a test file needs is in its name: see the table of commands in CONTRIBUTING.md. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...setup,
          name: "unit",
          include: named(""),
          exclude: [...named(".kernel"), ...named(".built"), ...ownProcess],
          pool: "threads",
          // Modules have no state of their own to speak of, and loading them again for each file takes longer than the tests.
          isolate: false,
        },
      },
      { test: { ...setup, name: "unit-process", include: ownProcess, pool: "forks" } },
      // A process for each file: setns moves all of it, and only a process's first thread may call it safely.
      { test: { ...setup, name: "kernel", include: named(".kernel"), pool: "forks" } },
      { test: { ...setup, name: "built", include: named(".built"), pool: "forks" } },
    ],
  },
});
