// libFuzzer's side of the fuzzer: one process, one heap. The JavaScript is evaluated once; the heap as it is then is copied back before
// each input, with ASan's view of it, so that no input sees what another left. native.c is part of this file: its conversions are
// under test, its system calls are not made (world.ts stands in for the kernel).
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include "counters.h"
#include "quickjs.h"

static JSRuntime *new_runtime(void);
#define LIBC_MALLOC // no arena of native.c's
#define JS_NewRuntime new_runtime
#define main podnic_main
#pragma clang diagnostic ignored "-Wunused-function"
#include "../../../src/host/quickjs/native.c"
#undef main
#undef JS_NewRuntime

// ---------------------------------------------------------------------------------------------------------------- coverage

__attribute__((section("__libfuzzer_extra_counters"))) uint8_t podnic_counters[PODNIC_COUNTERS];
uint32_t podnic_edge_of[PODNIC_CODE];
uint32_t podnic_edges;
const uint8_t *podnic_code;
static uint8_t seen[PODNIC_COUNTERS];

void podnic_number_edges(JSRuntime *rt, int (*is_counted)(int line));
void podnic_report_edges(JSRuntime *rt, const uint8_t *seen, FILE *out);
void __sanitizer_weak_hook_memcmp(void *pc, const void *a, const void *b, size_t n, int result);

void podnic_compared(const void *a, const void *b, unsigned length_a, unsigned length_b) {
  unsigned n = length_a < length_b ? length_a : length_b;
  if (n > 64) n = 64;
  if (n > 1) __sanitizer_weak_hook_memcmp(__builtin_return_address(0), a, b, n, memcmp(a, b, n));
}

// Lines of the bundle that are not podnic: the world it runs in.
static const int uncounted[][2] = {UNCOUNTED};

static int is_counted(int line) {
  for (size_t i = 0; i < sizeof uncounted / sizeof *uncounted; i++)
    if (line >= uncounted[i][0] && line < uncounted[i][1]) return 0;
  return 1;
}

__attribute__((no_sanitize("coverage"))) static void note_seen(void) {
  for (uint32_t i = 2; i < podnic_edges; i++) seen[i] |= podnic_counters[i] != 0;
}

static void report(void) {
  note_seen();
  unsigned some = 0;
  for (uint32_t i = 2; i < podnic_edges; i++) some += seen[i];
  fprintf(stderr, "podnic: %u of %u edges\n", some, podnic_edges - 2);
  const char *file = getenv("PODNIC_FUZZ_EDGES");
  FILE *out = file == NULL ? NULL : fopen(file, "w");
  if (out == NULL) return;
  podnic_report_edges(heap.rt, seen, out);
  fclose(out);
}

// -------------------------------------------------------------------------------------------------------------------- heap
// Blocks of size classes, each with a head of 8 bytes that ASan takes for poisoned, as it does what lies behind the bytes asked for. What is let
// go comes back last, so that a use after it shows.

#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))
#define ROOM ((size_t)512 << 20)
#define START ((char *)0x200000000000)
#define FREED 0xfd
#define BEHIND 0xfa

struct queue {
  struct block *first, *last;
};

static struct {
  char *next;
  size_t used; // as the program sees it
  struct queue free[160]; // blocks of 256 MiB are of class 144
} now, then;
static char *saved, *saved_shadow, *highest;

UNCHECKED static char *shadow(const void *p) { return (char *)(((uintptr_t)p >> 3) + 0x7fff8000); }

// memcpy and memset of the C library are ASan's, which would look at the shadow.
UNCHECKED static void copy(char *to, const char *from, size_t size) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
UNCHECKED static void fill(char *to, int byte, size_t size) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
}

UNCHECKED static unsigned class_for(size_t need, size_t *size) {
  if (need <= 512) {
    *size = need <= 16 ? 16 : (need + 7) & ~(size_t)7;
    return *size / 8;
  }
  unsigned shift = 61 - __builtin_clzll(need - 1);
  size_t quarters = ((need - 1) >> shift) + 1;
  *size = quarters << shift;
  return 65 + (shift - 7) * 4 + (quarters - 5);
}

// What the program may touch of a block: `need` bytes.
UNCHECKED static void expose(struct block *b, size_t need, size_t size) {
  char *s = shadow(&b->next);
  fill(s, 0, need / 8);
  if (need % 8 != 0) s[need / 8] = need % 8;
  size_t from = (need + 7) / 8, all = size / 8 - 1;
  if (from < all) fill(s + from, BEHIND, all - from);
}

UNCHECKED static void *fuzz_malloc(JSMallocState *state, size_t need) {
  (void)state;
  if (need > LIMIT || now.used + need > LIMIT) return NULL;
  size_t size;
  unsigned class = class_for(need + 8, &size);
  struct queue *queue = &now.free[class];
  struct block *b = queue->first;
  // Two at least stay: what was let go last is not the next to be had.
  if (b != NULL && (b != queue->last || need > LARGE)) {
    queue->first = b->next;
  } else {
    if (now.next + size > START + ROOM) return NULL;
    b = (struct block *)now.next;
    now.next += size;
    if (now.next > highest) highest = now.next;
  }
  b->size = need;
  now.used += need;
  expose(b, need, size);
  return &b->next;
}

UNCHECKED static void fuzz_free(JSMallocState *state, void *p) {
  (void)state;
  if (p == NULL) return;
  struct block *b = (struct block *)((char *)p - 8);
  if ((unsigned char)*shadow(b) != BEHIND || (unsigned char)*shadow(p) == FREED) {
    fprintf(stderr, "podnic: freed twice, or not a block\n");
    __sanitizer_print_stack_trace();
    abort();
  }
  size_t size;
  unsigned class = class_for(b->size + 8, &size);
  now.used -= b->size;
  fill(shadow(p), FREED, size / 8 - 1);
  struct queue *queue = &now.free[class];
  b->next = NULL;
  if (queue->first == NULL) queue->first = b;
  else queue->last->next = b;
  queue->last = b;
}

UNCHECKED static size_t fuzz_size(const void *p) { return p == NULL ? 0 : ((struct block *)((char *)p - 8))->size; }

UNCHECKED static void *fuzz_realloc(JSMallocState *state, void *p, size_t need) {
  if (p == NULL) return need == 0 ? NULL : fuzz_malloc(state, need);
  if (need == 0) {
    fuzz_free(state, p);
    return NULL;
  }
  size_t old = fuzz_size(p);
  void *q = fuzz_malloc(state, need);
  if (q == NULL) return NULL;
  copy(q, p, old < need ? old : need);
  fuzz_free(state, p);
  return q;
}

static const JSMallocFunctions fuzz_functions = {fuzz_malloc, fuzz_free, fuzz_realloc, fuzz_size};

static JSRuntime *new_runtime(void) {
  void *p = mmap(START, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (p != START) die("no room for the heap");
  now.next = highest = START;
  podnic_code = (uint8_t *)START;
  __asan_poison_memory_region(START, ROOM);
  fill(shadow(START), BEHIND, PODNIC_CODE / 8);
  return JS_NewRuntime2(&fuzz_functions, NULL);
}

UNCHECKED static void keep(void) {
  size_t size = now.next - START;
  saved = mmap(NULL, size + size / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (saved == MAP_FAILED) die("out of memory");
  saved_shadow = saved + size;
  copy(saved, START, size);
  copy(saved_shadow, shadow(START), size / 8);
  then = now;
  // Calls put nothing into the gaps between what is kept.
  memset(then.free, 0, sizeof then.free);
  highest = now.next;
}

UNCHECKED static void restore(void) {
  size_t size = then.next - START;
  copy(START, saved, size);
  copy(shadow(START), saved_shadow, size / 8);
  fill(shadow(then.next), BEHIND, (highest - then.next) / 8);
  // Much memory goes back.
  if (highest - then.next > (64 << 20)) madvise((char *)(((uintptr_t)then.next + 4095) & ~(uintptr_t)4095), highest - then.next - 4096, MADV_DONTNEED);
  highest = then.next;
  now = then;
}

// ------------------------------------------------------------------------------------------------------------------- inputs

__asm__(".section .rodata\n.global fuzz_source\nfuzz_source: .incbin \"bundle.js\"\n.byte 0\n.global fuzz_source_end\nfuzz_source_end:\n.previous");
extern const char fuzz_source[], fuzz_source_end[];

// By another runtime, whose memory is not part of the heap.
static uint8_t *compile_source(size_t *size) {
  JSRuntime *rt = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(rt);
  JS_SetMaxStackSize(rt, 4 << 20);
  JS_SetStripInfo(rt, JS_STRIP_SOURCE);
  JSValue function = JS_Eval(ctx, fuzz_source, fuzz_source_end - fuzz_source - 1, "podnic", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(function)) die_of_exception(ctx);
  uint8_t *bytecode = JS_WriteObject(ctx, size, function, JS_WRITE_OBJ_BYTECODE);
  if (bytecode == NULL) die_of_exception(ctx);
  return bytecode; // the process keeps it and its runtime
}

static JSValue target, mutator, say;
static bool has_mutator, twice;
static long limit_ms = 5000;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  argument = *argv;
  size_t stack = raise_stack(), size;
  uint8_t *bytecode = compile_source(&size);
  boot(bytecode, size);
  JSContext *ctx = heap.ctx;
  JSValue global = JS_GetGlobalObject(ctx);
  mutator = JS_GetPropertyStr(ctx, global, "podnicMutate");
  has_mutator = JS_IsFunction(ctx, mutator);
  say = JS_GetPropertyStr(ctx, global, "podnicSaid");
  JS_FreeValue(ctx, global);
  const char *name = getenv("PODNIC_FUZZ_TARGET");
  target = JS_NewString(ctx, name == NULL ? "" : name);
  twice = name != NULL && strcmp(name, "netlink") == 0;
  JS_SetMaxStackSize(heap.rt, stack);
  podnic_number_edges(heap.rt, is_counted);
  keep();
  atexit(report);
  const char *limit = getenv("PODNIC_FUZZ_LIMIT_MS");
  if (limit != NULL) limit_ms = atol(limit);
  return 0;
}

static long cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void fault(const char *what) {
  fprintf(stderr, "podnic: FAULT: %s\n", what);
  report();
  abort();
}

// What the call said, for the caller to free.
static char *run_once(const uint8_t *data, size_t size, int behind) {
  restore();
  JSContext *ctx = heap.ctx;
  JS_UpdateStackTop(heap.rt);
  long begin = cpu_ms();
  JSValue input = new_bytes(ctx, data, size);
  JSValueConst args[] = {target, input, JS_NewInt32(ctx, behind)};
  JSValue verdict = JS_Call(ctx, heap.entry, JS_UNDEFINED, 3, args);
  long took = cpu_ms() - begin;
  if (JS_IsException(verdict)) {
    JSValue exception = JS_GetException(ctx);
    JSValue stack = JS_GetPropertyStr(ctx, exception, "stack");
    fprintf(stderr, "%s\n", JS_ToCString(ctx, stack));
    fault(JS_ToCString(ctx, exception));
  }
  const char *text = JS_ToCString(ctx, verdict);
  if (text == NULL) fault("out of memory");
  const char *known = getenv("PODNIC_FUZZ_KNOWN");
  if (text[0] != 0) {
    if (known == NULL || strstr(text, known) == NULL) fault(text);
    fprintf(stderr, "podnic: KNOWN: %s\n", text);
  }
  if (took > limit_ms) {
    char words[80];
    snprintf(words, sizeof words, "%ld ms of CPU for %zu bytes", took, size);
    fault(words);
  }
  const char *said = JS_ToCString(ctx, JS_Call(ctx, say, JS_UNDEFINED, 0, NULL));
  return strdup(said == NULL ? "" : said);
}

// A read beyond a datagram shows when other bytes are there: the same call, and the same answer.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *said = run_once(data, size, 0);
  if (twice) {
    char *again = run_once(data, size, 0xa5);
    if (strcmp(said, again) != 0) {
      fprintf(stderr, "%s\n%s\n", said, again);
      fault("bytes behind the kernel's answer change what is said");
    }
    free(again);
  }
  free(said);
  note_seen();
  return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

// Half of the time libFuzzer's own mutations, half those of mutate.ts, which know what is in the input.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
  if (!has_mutator || seed % 2 == 0) return LLVMFuzzerMutate(data, size, max);
  restore();
  JSContext *ctx = heap.ctx;
  JS_UpdateStackTop(heap.rt);
  JSValueConst args[] = {target, new_bytes(ctx, data, size), JS_NewInt64(ctx, seed / 2)};
  JSValue result = JS_Call(ctx, mutator, JS_UNDEFINED, 3, args);
  size_t length;
  const uint8_t *bytes = JS_IsException(result) ? NULL : get_bytes(ctx, result, &length);
  memset(podnic_counters, 0, sizeof podnic_counters);
  if (bytes == NULL || length == 0 || length > max) return LLVMFuzzerMutate(data, size, max);
  memcpy(data, bytes, length);
  return length;
}
