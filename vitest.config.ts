import { register } from "node:module";
import { defineConfig } from "vitest/config";

// For the global setup, which vitest imports itself.
register("./scripts/vitest/hooks.mjs", `file://${process.cwd()}/`);

const folders = ["src", "plugins", "scripts", "conformance", "deploy", "docs", "examples"];
const setup = {
  globalSetup: ["scripts/vitest/validators.ts"],
  setupFiles: ["src/testing/install-host.ts"],
  testTimeout: 30_000,
  hookTimeout: 60_000,
};
/** Node's own loader takes a fraction of the time of vite's. It cannot put a module in another's place. */
const native = {
  experimental: { viteModuleRunner: false, nodeLoader: false },
  execArgv: ["--import", "./scripts/vitest/register.mjs"],
};
/** Kernel tests that do put a module in another's place, or load it again. */
const withMocks = ["src/state/state.kernel.test.ts", "src/config/policy.kernel.test.ts"];
const named = (suffix: string) => folders.map((folder) => `${folder}/**/*${suffix}.test.ts`);

/** What a test file needs is in its name: see the table of commands in CONTRIBUTING.md. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...setup,
          ...native,
          name: "unit",
          include: named(""),
          exclude: [...named(".process"), ...named(".kernel"), ...named(".built")],
          pool: "threads",
          // Modules have no state of their own to speak of, and loading them again for each file takes longer than the tests.
          isolate: false,
        },
      },
      // Tests that start programs, change the working directory or the umask, which threads share, or put a module in another's place.
      {
        test: {
          ...setup,
          name: "process",
          include: named(".process"),
          globalSetup: ["scripts/vitest/fixture.ts"],
          pool: "forks",
        },
      },
      // A process for each file: setns moves all of it, and only a process's first thread may call it safely.
      { test: { ...setup, ...native, name: "kernel", include: named(".kernel"), exclude: withMocks, pool: "forks" } },
      { test: { ...setup, name: "kernel-mocks", include: withMocks, pool: "forks" } },
      { test: { ...setup, name: "built", include: named(".built"), pool: "forks" } },
    ],
  },
});
