// The native half of the QuickJS host: memory, one generic system call, bytes to text and back, bytecode, the heap snapshot.
// Mechanism only: what to call and what an error means is decided in TypeScript (src/host/).
//
// Built in two shapes (scripts/build.ts):
//   SNAPSHOT=BYTES  the heap lives in an arena of that size inside .data. Started with an empty arena it evaluates the bytecode given
//                   on stdin and writes the arena to stdout; the build patches that image into the same ELF file, which from then on
//                   starts with everything evaluated. Needs a fixed load address (no PIE) and no pointers out of the heap but to code.
//                   A plan, which the build learns, says where each allocation until then goes: what calls read lies together at the
//                   arena's beginning, what they write to at its end, and what is let go again outside it.
//   otherwise       the main bytecode is part of the executable and evaluated at each start.
// TRAIN             the second shape with the first one's arena, which finds that out (written.h).
// LIBC_MALLOC leaves memory to the C library, so that ASan sees every block.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "quickjs.h"

// .incbin instead of a C array: a compiler takes seconds for what the assembler does at once. In a section of its own: between
// constants that every call reads it would fill the pages around each of their faults (3 % of VERSION).
#define BYTECODE(name)                                                                                             \
  __asm__(".section .bytecode,\"a\"\n.balign 16\n" #name "_bytecode: .incbin \"" #name ".qbc\"\n" #name "_bytecode_end:\n" \
          ".byte 0\n.previous");                                                                                   \
  extern const uint8_t name##_bytecode[], name##_bytecode_end[]
BYTECODE(cli);

#ifdef SNAPSHOT
#define ARENA SNAPSHOT
#else
#ifndef ARENA
#define ARENA 0
#endif
BYTECODE(main);
#endif

#define CHUNK ((size_t)256 << 10) // the heap grows by this much
#define LARGE ((size_t)64 << 10)  // larger blocks are mappings of their own, so that the kernel gets them back
#define LIMIT ((size_t)256 << 20) // beyond it JavaScript sees "out of memory"; 1 MiB of hostile JSON stays far below
#define STACK ((size_t)64 << 20)  // likewise "stack overflow"; JSON of 9,999 levels needs about 10 MiB
#define SCARCE ((size_t)256 << 10)
#define CLASSES 128

// A block: this head of 8 bytes, then what the caller got. `size` counts the latter; bit 0 says it is a mapping of its own.
struct block {
  uint64_t size;
  struct block *next; // while it is free
};

struct pool {
  char *next, *end;
  struct block *free[CLASSES];
};

// Everything the heap is, in one object: a copy of these bytes is a copy of the heap.
static struct heap {
  uint64_t address;    // of this object; for the build
  uint64_t used;       // bytes of `arena`; for the build
  uint64_t overflowed; // grew out of `arena` before the snapshot was taken: the build must try again with a larger one
  uint64_t misplaced;  // blocks outside `arena` are still in use: the plan is of another bundle or machine
  uint64_t ready;      // the main bytecode has been evaluated
  JSRuntime *rt;
  JSContext *ctx;
  JSValue entry; // the function to call
  char version[256]; // what answers VERSION, with "" where the version goes
  char arena[ARENA + 16] __attribute__((aligned(16)));
  struct pool pool; // beside what most calls write to
  size_t mapped;
} heap __attribute__((section(".data"), aligned(16))) = {.address = 0};

static char **argument;
static struct rlimit stack_limit; // as we got it
static bool answered;             // something has been written to stdout
extern char **environ;

static _Noreturn void die(const char *what) {
  fprintf(stderr, "podnic: %s\n", what);
  _exit(1);
}

// ---------------------------------------------------------------------------------------------------------------- memory

#ifdef TRAIN
#include "written.h"
#endif

#ifndef LIBC_MALLOC
static void *map(size_t size) {
  if (heap.mapped + size > LIMIT) return NULL;
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  heap.mapped += size;
  return p;
}

// Classes: multiples of 8 up to 512, then four to each doubling. `need` includes the head. (Nothing in the engine wants more than 8.)
static unsigned class_of(size_t need, size_t *size) {
  if (need <= 512) {
    *size = need <= 16 ? 16 : (need + 7) & ~(size_t)7;
    return *size / 8;
  }
  unsigned shift = 61 - __builtin_clzll(need - 1);
  size_t quarters = ((need - 1) >> shift) + 1; // 5 to 8
  *size = quarters << shift;
  return 65 + (shift - 7) * 4 + (quarters - 5);
}

static size_t warm_size, hot_size; // at the beginning and the end of the arena, for what calls read and what most of them write to

static bool grow(struct pool *pool, size_t size) {
  char *start = heap.arena + warm_size;
  size_t chunk = ARENA - warm_size - hot_size;
  if (pool != &heap.pool || pool->next != NULL || chunk < size) {
    if (pool == &heap.pool && pool->next != NULL && !heap.ready) heap.overflowed = 1;
    chunk = size > CHUNK ? size : CHUNK;
    start = map(chunk);
    if (start == NULL) return false;
  }
  pool->next = start;
  pool->end = start + chunk;
  return true;
}

// A block that was let go, or a new one.
static struct block *take(struct pool *pool, unsigned class, size_t size) {
  struct block *b = pool->free[class];
  if (b != NULL) {
    pool->free[class] = b->next;
    return b;
  }
  if ((size_t)(pool->end - pool->next) < size && !grow(pool, size)) return NULL;
  b = (struct block *)pool->next;
  pool->next += size;
  return b;
}

static uint32_t allocations; // before the snapshot
#ifdef SNAPSHOT
static const uint8_t *plan; // for each of them one of: PASSING (let go before the snapshot), COLD, TEPID (some calls write to it), WARM (they read it), HOT (most write to it)
static size_t planned;
enum { PASSING, COLD, TEPID, WARM, HOT };
static struct pool outside; // of the arena: for those that pass
static size_t passing;      // how many of them are in use
static struct pool warm, hot;
#endif

// A block for one of them.
static struct block *take_frozen(unsigned class, size_t size) {
  uint32_t n = allocations++;
#ifdef SNAPSHOT
  unsigned place = n < planned ? plan[n] : COLD;
  if (place == PASSING) {
    passing++;
    return take(&outside, class, size);
  }
  if (place == TEPID) {
    if ((size_t)(heap.pool.end - heap.pool.next) < size && !grow(&heap.pool, size)) return NULL;
    heap.pool.end -= size;
    return (struct block *)heap.pool.end;
  }
  struct pool *together = place == WARM ? &warm : &hot;
  if (place >= WARM && (size_t)(together->end - together->next) >= size) return take(together, class, size);
#endif
  struct block *b = take(&heap.pool, class, size);
#ifdef TRAIN
  if (b != NULL) allocation_of[word_of((uintptr_t)b)] = n;
#endif
  (void)n;
  return b;
}

// For conformance/faults/allocations.ts: PODNIC_REFUSE=N refuses the N-th allocation of a call.
static bool is_refused(void) {
#ifdef REFUSE
  static long left = -1;
  const char *wanted = left == -1 ? getenv("PODNIC_REFUSE") : NULL;
  if (left == -1) left = wanted == NULL ? 0 : atol(wanted);
  return left > 0 && --left == 0 && write(2, "refused\n", 8) == 8;
#else
  return false;
#endif
}

static void *arena_malloc(JSMallocState *state, size_t need) {
  (void)state;
  size_t size;
  if (heap.ready && is_refused()) return NULL;
  if (need > LARGE && heap.ready) {
    size = (need + 16 + 4095) & ~(size_t)4095;
    char *p = need > LIMIT ? NULL : map(size);
    if (p == NULL) return NULL;
    *(uint64_t *)(p + 8) = (size - 16) | 1;
    return p + 16;
  }
  if (need > LIMIT) return NULL;
  unsigned class = class_of(need + 8, &size);
  struct block *b = heap.ready ? take(&heap.pool, class, size) : take_frozen(class, size);
  if (b == NULL) return NULL;
  b->size = size - 8;
  return &b->next;
}

static void arena_free(JSMallocState *state, void *p) {
  (void)state;
  if (p == NULL || js_is_frozen(p)) return; // not to be given out again: what lies there is not reference-counted
  struct block *b = (struct block *)((char *)p - 8);
  if (b->size & 1) {
    size_t size = (b->size & ~(size_t)1) + 16;
    heap.mapped -= size;
    munmap((char *)p - 16, size);
    return;
  }
  size_t size;
  unsigned class = class_of(b->size + 8, &size);
  struct pool *pool = &heap.pool;
#ifdef SNAPSHOT
  if (planned > 0 && !heap.ready && (uintptr_t)b - (uintptr_t)heap.arena >= ARENA) pool = &outside, passing--;
#endif
  b->next = pool->free[class];
  pool->free[class] = b;
}

static size_t arena_size(const void *p) { return *(const uint64_t *)((const char *)p - 8) & ~(uint64_t)1; }

static void *arena_realloc(JSMallocState *state, void *p, size_t need) {
  if (p == NULL) return need == 0 ? NULL : arena_malloc(state, need);
  if (need == 0) {
    arena_free(state, p);
    return NULL;
  }
  size_t old = arena_size(p);
  if (need <= old) return p;
  void *q = arena_malloc(state, need);
  if (q == NULL) return NULL;
  memcpy(q, p, old);
  arena_free(state, p);
  return q;
}

static const JSMallocFunctions arena_functions = {arena_malloc, arena_free, arena_realloc, arena_size};
#endif

// ------------------------------------------------------------------------------------------------- functions for TypeScript

static JSValue new_bytes(JSContext *ctx, const void *data, size_t size) {
  JSValue buffer = JS_NewArrayBufferCopy(ctx, data, size);
  if (JS_IsException(buffer)) return buffer;
  JSValueConst whole[] = {buffer, JS_UNDEFINED, JS_UNDEFINED}; // it reads offset and length whatever argc says
  JSValue bytes = JS_NewTypedArray(ctx, 3, whole, JS_TYPED_ARRAY_UINT8);
  JS_FreeValue(ctx, buffer);
  return bytes;
}

// The bytes of a Uint8Array, which keeps them; NULL with an exception when it is something else.
static uint8_t *get_bytes(JSContext *ctx, JSValueConst value, size_t *size) {
  size_t offset, total;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, size, NULL);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *data = JS_GetArrayBuffer(ctx, &total, buffer);
  JS_FreeValue(ctx, buffer);
  return data == NULL ? NULL : data + offset;
}

// char *[] from an array of Uint8Arrays that each end in NUL. To be freed with js_free; the strings stay the arrays'.
static char **get_list(JSContext *ctx, JSValueConst value) {
  int64_t count;
  JSValue length = JS_GetPropertyStr(ctx, value, "length");
  if (JS_ToInt64(ctx, &count, length) < 0) return NULL;
  char **list = js_mallocz(ctx, (count + 1) * sizeof *list);
  for (int64_t i = 0; list != NULL && i < count; i++) {
    size_t size;
    JSValue item = JS_GetPropertyUint32(ctx, value, i);
    list[i] = (char *)get_bytes(ctx, item, &size);
    JS_FreeValue(ctx, item);
    if (list[i] == NULL || size == 0 || list[i][size - 1] != 0) {
      if (list[i] != NULL) JS_ThrowTypeError(ctx, "item %d does not end in NUL", (int)i);
      js_free(ctx, list);
      return NULL;
    }
  }
  return list;
}

// syscall(nr, …args): what the kernel returned, or -errno. An argument is a number, text (refused with EINVAL when it holds a NUL),
// a Uint8Array (its address), an array of NUL-terminated Uint8Arrays (char *[]), or null; what is missing is 0.
static JSValue js_syscall(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  int64_t a[7] = {0};
  const char *text[7] = {0};
  char **list[7] = {0};
  size_t size;
  JSValue result = JS_EXCEPTION;
  bool nul = false;
  int i;
  if (argc > 7) argc = 7;
  for (i = 0; i < argc; i++) {
    if (JS_IsNumber(argv[i])) {
      if (JS_ToInt64(ctx, &a[i], argv[i]) < 0) goto out;
    } else if (JS_IsString(argv[i])) {
      if ((text[i] = JS_ToCStringLen(ctx, &size, argv[i])) == NULL) goto out;
      nul |= strlen(text[i]) != size;
      char *to = memchr(text[i], 0xed, size); // U+DC80 to U+DCFF stand for bytes that are no UTF-8 (utf8.ts); such a text is a copy
      for (const char *p = to; to != NULL && (*to = *p) != 0; to++, p++)
        if (*p == '\xed' && (p[1] & 0xfe) == 0xb2) *to = 0x80 | (p[1] & 1) << 6 | (p[2] & 0x3f), p += 2;
      a[i] = (intptr_t)text[i];
    } else if (JS_IsArray(ctx, argv[i])) {
      if ((list[i] = get_list(ctx, argv[i])) == NULL) goto out;
      a[i] = (intptr_t)list[i];
    } else if (!JS_IsNull(argv[i]) && !JS_IsUndefined(argv[i])) {
      if ((a[i] = (intptr_t)get_bytes(ctx, argv[i], &size)) == 0) goto out;
    }
  }
  answered |= a[0] == SYS_write && a[1] == 1;
  long r = nul ? -1 : syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
  result = JS_NewInt64(ctx, r != -1 ? r : nul ? -EINVAL : -errno);
out:
  for (i = 0; i < argc; i++) {
    if (text[i] != NULL) JS_FreeCString(ctx, text[i]);
    if (list[i] != NULL) js_free(ctx, list[i]);
  }
  return result;
}

// encode(text): UTF-8; half of a surrogate pair becomes U+FFFD, as it takes three bytes too.
static JSValue js_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  const char *text = JS_ToCStringLen(ctx, &size, argv[0]);
  if (text == NULL) return JS_EXCEPTION;
  JSValue bytes = new_bytes(ctx, text, size);
  JS_FreeCString(ctx, text);
  uint8_t *p = JS_IsException(bytes) ? NULL : get_bytes(ctx, bytes, &size);
  for (size_t i = 0; p != NULL && i + 2 < size; i++)
    if (p[i] == 0xed && p[i + 1] >= 0xa0) memcpy(p + i, "\xef\xbf\xbd", 3);
  return bytes;
}

// Length of the well-formed sequence at p (Unicode, table 3-7), 0 when there is none.
static size_t utf8_sequence(const uint8_t *p, size_t left) {
  if (p[0] < 0x80) return 1;
  if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
  size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
  if (left < n) return 0;
  uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
  if (p[1] < low || p[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  return n;
}

// The text, or null when it is not UTF-8. (QuickJS's own decoder swallows what follows a bad byte, be it a quote.)
static JSValue text_of(JSContext *ctx, const uint8_t *p, size_t size) {
  for (size_t i = 0, n = 0; i < size; i += n)
    if ((n = utf8_sequence(p + i, size - i)) == 0) return JS_NULL;
  return JS_NewStringLen(ctx, (const char *)p, size);
}

static JSValue js_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  const uint8_t *p = get_bytes(ctx, argv[0], &size);
  return p == NULL ? JS_EXCEPTION : text_of(ctx, p, size);
}

// What fits of a regular file, or -1. It is looked at before it is opened, as in state/look.ts, unless the caller is `sure`: then only
// root can change the directory, whose entry has said that the file is regular. Without `seen` nobody asks for its size and time.
static ssize_t read_whole(int dir, const char *name, bool sure, uint8_t *to, size_t room, struct stat *seen) {
  char path[32];
  int look = sure ? -1 : openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1;
  if (sure) fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (look >= 0 && fstat(look, seen) == 0 && S_ISREG(seen->st_mode)) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", look);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ssize_t got = fd >= 0 && (seen == NULL || (fstat(fd, seen) == 0 && seen->st_size < (off_t)room)) ? read(fd, to, room) : -1;
  if (fd >= 0) close(fd);
  if (look >= 0) close(look);
  return got == (ssize_t)room ? -1 : got;
}

// readFiles(directory, count, names, sure): contents and time (none when `sure` is a number) of each; null, to be asked for by itself, of what is not small, regular and UTF-8.
static JSValue js_read_files(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  uint8_t contents[16384];
  JSValue list = JS_NewArray(ctx);
  for (int i = 0; !JS_IsException(list) && i < JS_VALUE_GET_INT(argv[1]); i++) {
    struct stat seen = {.st_mtime = 0};
    JSValue item = JS_GetPropertyUint32(ctx, argv[2], i);
    const char *name = JS_ToCString(ctx, item);
    ssize_t got = name == NULL ? -1 : read_whole(JS_VALUE_GET_INT(argv[0]), name, JS_ToBool(ctx, argv[3]), contents, sizeof contents, JS_VALUE_GET_TAG(argv[3]) == JS_TAG_INT ? NULL : &seen);
    JS_SetPropertyUint32(ctx, list, 2 * i, got < 0 ? JS_NULL : text_of(ctx, contents, got));
    JS_SetPropertyUint32(ctx, list, 2 * i + 1, JS_NewInt64(ctx, seen.st_mtime));
    JS_FreeCString(ctx, name);
    JS_FreeValue(ctx, item);
  }
  return list;
}

// strings(0): the arguments, strings(1): the environment; Uint8Arrays that end in NUL, as execve wants them.
static JSValue js_strings(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  char **list = JS_VALUE_GET_INT(argv[0]) == 0 ? argument : environ;
  JSValue array = JS_NewArray(ctx);
  for (uint32_t i = 0; !JS_IsException(array) && list[i] != NULL; i++) {
    JSValue bytes = new_bytes(ctx, list[i], strlen(list[i]) + 1);
    if (JS_IsException(bytes) || JS_SetPropertyUint32(ctx, array, i, bytes) < 0) return JS_EXCEPTION;
  }
  return array;
}

static JSValue js_getenv(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  const char *name = JS_ToCString(ctx, argv[0]);
  if (name == NULL) return JS_EXCEPTION;
  const char *value = getenv(name);
  JS_FreeCString(ctx, name);
  return value == NULL ? JS_UNDEFINED : text_of(ctx, (const uint8_t *)value, strlen(value));
}

// stackLimit(): struct rlimit, for programs we start: main raised ours.
static JSValue js_stack_limit(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc, (void)argv;
  return new_bytes(ctx, &stack_limit, sizeof stack_limit);
}

static JSValue evaluate(JSContext *ctx, const uint8_t *bytecode, size_t size) {
  JSValue function = JS_ReadObject(ctx, bytecode, size, JS_READ_OBJ_BYTECODE);
  return JS_IsException(function) ? function : JS_EvalFunction(ctx, function);
}

static size_t unpack_length(const uint8_t **p, size_t length) {
  if (length == 15) do length += **p; while (*(*p)++ == 255);
  return length;
}

// A block of LZ4, which the build made (scripts/build/lz4.ts).
static void unpack(const uint8_t *p, const uint8_t *end, uint8_t *out) {
  for (;;) {
    uint8_t token = *p++;
    size_t literals = unpack_length(&p, token >> 4);
    memcpy(out, p, literals);
    out += literals, p += literals;
    if (p == end) return;
    size_t offset = p[0] | p[1] << 8;
    p += 2;
    for (size_t n = unpack_length(&p, token & 15) + 4; n > 0; n--, out++) *out = *(out - offset);
  }
}

// Evaluates the operator's bytecode; what it exports it sets as globals.
static JSValue js_load(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc, (void)argv;
  const uint8_t *p = cli_bytecode;
  size_t size = p[0] | p[1] << 8 | p[2] << 16 | (size_t)p[3] << 24;
  uint8_t *whole = js_malloc(ctx, size);
  if (whole == NULL) return JS_EXCEPTION;
  unpack(p + 4, cli_bytecode_end, whole);
  JSValue result = evaluate(ctx, whole, size);
  js_free(ctx, whole);
  return result;
}

// What a process beside us does: it shares our memory, so that it costs no copy of a page, and our descriptors.
struct errand {
  long nr, fd, size;
  bool alone; // in a session of its own, without our descriptors but `fd`: it may outlive us
  uint8_t data[512];
  char stack[8192] __attribute__((aligned(16)));
};

// Without errno, which is ours. For each processor: the registers of the number and of the arguments, what has the answer, the instruction,
// and what else it changes.
#ifdef __aarch64__
#define TRAP(WITH) WITH("x8", "x0", "x1", "x2", "x3", "x4", "x5", r1, "svc 0", "memory")
#elif defined __s390x__
#define TRAP(WITH) WITH("1", "2", "3", "4", "5", "6", "7", r1, "svc 0", "memory")
#elif defined __riscv
#define TRAP(WITH) WITH("a7", "a0", "a1", "a2", "a3", "a4", "a5", r1, "ecall", "memory")
#elif defined __powerpc64__ // an error is positive, with a flag beside it
#define CHANGED "memory", "cr0", "ctr", "xer", "r9", "r10", "r11", "r12"
#define TRAP(WITH) WITH("r0", "r3", "r4", "r5", "r6", "r7", "r8", r1, "sc; bns+ 1f; neg 3, 3; 1:", CHANGED)
#else
#define TRAP(WITH) WITH("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", r0, "syscall", "memory", "rcx", "r11")
#endif
#define REGISTERS(n, one, two, three, four, five, six, answer, instruction, ...)                                                       \
  register long r0 __asm__(n) = nr, r1 __asm__(one) = a, r2 __asm__(two) = b, r3 __asm__(three) = c, r4 __asm__(four) = d;            \
  register long r5 __asm__(five) = 0, r6 __asm__(six) = 0;                                                                             \
  __asm__ volatile(instruction : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6)::__VA_ARGS__);                   \
  return answer
static long raw_syscall(long nr, long a, long b, long c, long d) { TRAP(REGISTERS); }

static int run_errand(void *given) {
  struct errand *e = given;
  if (e->alone && raw_syscall(SYS_unshare, CLONE_FILES, 0, 0, 0) == 0) { // or they would be our parent's as well
    raw_syscall(SYS_setsid, 0, 0, 0, 0);
    if (raw_syscall(SYS_close_range, e->fd + 1, ~0U, 0, 0) == 0) raw_syscall(SYS_close_range, 0, e->fd - 1, 0, 0);
    else
      for (long fd = 0; fd < 1024; fd++) // Linux before 5.9
        if (fd != e->fd) raw_syscall(SYS_close, fd, 0, 0, 0);
  }
  long answer = raw_syscall(e->nr, e->fd, (long)e->data, e->size, MSG_NOSIGNAL);
  return answer < 0 ? -answer : 0;
}

// errand(nr, fd, bytes, alone): the system call nr(fd, bytes, size, MSG_NOSIGNAL, NULL, 0) by a process beside us: its id, or -errno. Its exit
// status is the errno, or 0. For what the kernel makes one wait for. (The flags are those that valgrind knows as well.)
static JSValue js_errand(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  int32_t nr, fd;
  const uint8_t *bytes = get_bytes(ctx, argv[2], &size);
  if (bytes == NULL || JS_ToInt32(ctx, &nr, argv[0]) < 0 || JS_ToInt32(ctx, &fd, argv[1]) < 0) return JS_EXCEPTION;
  struct errand *e = mmap(NULL, sizeof *e, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (e == MAP_FAILED || size > sizeof e->data) return JS_NewInt32(ctx, -ENOMEM);
  e->nr = nr, e->fd = fd, e->size = size, e->alone = JS_ToBool(ctx, argv[3]);
  memcpy(e->data, bytes, size);
  int pid = clone(run_errand, e->stack + sizeof e->stack, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, e);
  return JS_NewInt32(ctx, pid < 0 ? -errno : pid);
}

static void wake(int signal) { (void)signal; }

// lock(fd, milliseconds): flock(2) LOCK_EX in the kernel's queue: 0, or -errno; -EINTR: the time is over. The timer repeats because a
// signal that comes just before flock(2) begins interrupts nothing.
static JSValue js_lock(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  int32_t fd, ms;
  if (JS_ToInt32(ctx, &fd, argv[0]) < 0 || JS_ToInt32(ctx, &ms, argv[1]) < 0) return JS_EXCEPTION;
  struct sigaction action = {.sa_handler = wake}, action_before;
  struct itimerval timer = {{0, 20000}, {ms / 1000, ms % 1000 * 1000 + 1}};
  sigset_t alarm, mask_before;
  sigemptyset(&alarm), sigaddset(&alarm, SIGALRM);
  sigaction(SIGALRM, &action, &action_before), sigprocmask(SIG_UNBLOCK, &alarm, &mask_before);
  setitimer(ITIMER_REAL, &timer, NULL);
  int answer = raw_syscall(SYS_flock, fd, LOCK_EX, 0, 0);
  setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
  sigprocmask(SIG_SETMASK, &mask_before, NULL), sigaction(SIGALRM, &action_before, NULL);
  return JS_NewInt32(ctx, answer);
}

// ---- loops: see src/host/loops.ts, whose functions say what is right. Positions come from TypeScript, and are checked.

static bool get_positions(JSContext *ctx, JSValueConst *argv, int count, int32_t *positions, size_t size) {
  for (int i = 0; i < count; i++) {
    if (JS_ToInt32(ctx, &positions[i], argv[i]) < 0) return false;
    if (positions[i] < 0 || (size_t)positions[i] > size) return JS_ThrowRangeError(ctx, "position %d", positions[i]), false;
  }
  return true;
}

static JSValue js_attributes(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size, known = 0, room;
  int32_t range[2], base;
  const uint8_t *p = get_bytes(ctx, argv[0], &size), *wanted = NULL;
  if (p == NULL || !get_positions(ctx, argv + 1, 2, range, size)) return JS_EXCEPTION;
  if (!JS_IsNull(argv[3]) && (wanted = get_bytes(ctx, argv[3], &known)) == NULL) return JS_EXCEPTION;
  int32_t *spans = (int32_t *)get_bytes(ctx, argv[4], &room);
  if (spans == NULL || !get_positions(ctx, argv + 5, 1, &base, room / 4)) return JS_EXCEPTION;
  if (room / 4 - base < 1 + 64 * 3) return JS_ThrowRangeError(ctx, "no room");
  int32_t at = range[0], end = range[1], count = 0, *to = spans + base + 1;
  for (uint16_t head[2]; at < end; at += (head[0] + 3) & ~3) {
    if (end - at >= 4) memcpy(head, p + at, 4);
    if (end - at < 4 || head[0] < 4 || head[0] > end - at) {
      at = -1 - at;
      break;
    }
    unsigned type = head[1] & 0x3fff;
    if (wanted != NULL && (type >= known || wanted[type] != 1)) continue;
    if (count == 64) break;
    *to++ = head[1], *to++ = at + 4, *to++ = at + head[0];
    count++;
  }
  spans[base] = count;
  return JS_NewInt32(ctx, at);
}

static JSValue js_text(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size;
  int32_t range[2];
  const uint8_t *p = get_bytes(ctx, argv[0], &size);
  if (p == NULL || !get_positions(ctx, argv + 1, 2, range, size)) return JS_EXCEPTION;
  int32_t at = range[0];
  while (at < range[1] && p[at] != 0)
    if (p[at++] > 127) return JS_NULL;
  return JS_NewStringLen(ctx, (const char *)p + range[0], at - range[0]);
}

static JSValue js_put(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size, length;
  int32_t at;
  uint8_t *p = get_bytes(ctx, argv[0], &size);
  if (p == NULL || !get_positions(ctx, argv + 1, 1, &at, size)) return JS_EXCEPTION;
  const char *text = JS_ToCStringLen(ctx, &length, argv[2]);
  if (text == NULL) return JS_EXCEPTION;
  bool ascii = true;
  for (size_t i = 0; i < length; i++) ascii &= (uint8_t)text[i] < 128;
  bool fits = length <= size - at;
  if (ascii && fits) memcpy(p + at, text, length);
  JS_FreeCString(ctx, text);
  return ascii && !fits ? JS_ThrowRangeError(ctx, "no room") : JS_NewBool(ctx, ascii);
}

static JSValue js_plain(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
  if (text == NULL) return JS_EXCEPTION;
  bool plain = length > 0;
  for (size_t i = 0; i < length; i++) {
    unsigned c = (uint8_t)text[i];
    bool alphanumeric = c - '0' < 10 || (c | 32) - 'a' < 26;
    plain &= alphanumeric || (i > 0 && (c == '_' || c == '.' || c == '-'));
  }
  JS_FreeCString(ctx, text);
  return JS_NewBool(ctx, plain);
}

static JSValue js_differences(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  size_t size, other_size;
  const int32_t *values = (int32_t *)get_bytes(ctx, argv[0], &size), *others = NULL;
  if (values == NULL || (others = (int32_t *)get_bytes(ctx, argv[1], &other_size)) == NULL) return JS_EXCEPTION;
  JSValue found = JS_NewArray(ctx);
  for (uint32_t i = 0, n = 0; !JS_IsException(found) && i < size / 4 && i < other_size / 4; i++) {
    if (values[i] == others[i]) continue;
    if (JS_SetPropertyUint32(ctx, found, n++, JS_NewInt32(ctx, i)) < 0) return JS_EXCEPTION;
    if (JS_SetPropertyUint32(ctx, found, n++, JS_NewInt32(ctx, values[i])) < 0) return JS_EXCEPTION;
  }
  return found;
}

static uint64_t word_at(const uint32_t *halves, int i) { return (uint64_t)halves[2 * i] << 32 | halves[2 * i + 1]; }
static uint64_t rotated(uint64_t word, int by) { return word >> by | word << (64 - by); }

static void digest_block(uint32_t *state, const uint8_t *block, const uint32_t *round) {
  uint64_t w[80], v[8];
  for (int i = 0; i < 128; i++) w[i / 8] = i % 8 == 0 ? block[i] : w[i / 8] << 8 | block[i];
  for (int i = 16; i < 80; i++) {
    uint64_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotated(a, 1) ^ rotated(a, 8) ^ a >> 7) + w[i - 7] + (rotated(b, 19) ^ rotated(b, 61) ^ b >> 6);
  }
  for (int i = 0; i < 8; i++) v[i] = word_at(state, i);
  for (int i = 0; i < 80; i++) {
    uint64_t a = v[0], e = v[4], choice = (e & v[5]) ^ (~e & v[6]), majority = (a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]);
    uint64_t sum = v[7] + (rotated(e, 14) ^ rotated(e, 18) ^ rotated(e, 41)) + choice + word_at(round, i) + w[i];
    memmove(v + 1, v, 7 * sizeof *v);
    v[4] += sum;
    v[0] = sum + (rotated(a, 28) ^ rotated(a, 34) ^ rotated(a, 39)) + majority;
  }
  for (int i = 0; i < 8; i++) {
    uint64_t word = word_at(state, i) + v[i];
    state[2 * i] = word >> 32, state[2 * i + 1] = word;
  }
}

static JSValue js_digest(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self, (void)argc;
  uint8_t *given[3];
  size_t size[3];
  for (int i = 0; i < 3; i++)
    if ((given[i] = get_bytes(ctx, argv[i], &size[i])) == NULL) return JS_EXCEPTION;
  if (size[0] != 64 || size[1] % 128 != 0 || size[2] != 640) return JS_ThrowRangeError(ctx, "no such digest");
  for (size_t at = 0; at < size[1]; at += 128) digest_block((uint32_t *)given[0], given[1] + at, (uint32_t *)given[2]);
  return JS_UNDEFINED;
}

static const JSCFunctionListEntry functions[] = {
  JS_CFUNC_DEF("attributes", 6, js_attributes), JS_CFUNC_DEF("text", 3, js_text), JS_CFUNC_DEF("put", 3, js_put),
  JS_CFUNC_DEF("plain", 1, js_plain), JS_CFUNC_DEF("errand", 4, js_errand), JS_CFUNC_DEF("lock", 2, js_lock),
  JS_CFUNC_DEF("differences", 2, js_differences), JS_CFUNC_DEF("digest", 3, js_digest),
  JS_CFUNC_DEF("syscall", 7, js_syscall), JS_CFUNC_DEF("encode", 1, js_encode), JS_CFUNC_DEF("decode", 1, js_decode),
  JS_CFUNC_DEF("strings", 1, js_strings), JS_CFUNC_DEF("getenv", 1, js_getenv), JS_CFUNC_DEF("load", 0, js_load),
  JS_CFUNC_DEF("stackLimit", 0, js_stack_limit), JS_CFUNC_DEF("readFiles", 4, js_read_files),
  JS_PROP_STRING_DEF("machine", MACHINE, 0),
};

#ifndef TRAIN
#include "version.h"
#endif

// ------------------------------------------------------------------------------------------------------- start and snapshot

// Last resort: main.ts catches everything and answers in JSON, unless there is no memory left to do so.
static _Noreturn void die_of_exception(JSContext *ctx) {
  static const char document[] = "{\"cniVersion\":\"1.0.0\",\"code\":999,\"msg\":\"internal error, or out of memory: see stderr\"}\n";
  if (!answered && getenv("CNI_COMMAND") != NULL && write(1, document, sizeof document - 1) < 0) answered = true;
  JSValue exception = JS_GetException(ctx);
  if (!JS_IsObject(exception)) die("out of memory");
  JSValue stack = JS_GetPropertyStr(ctx, exception, "stack");
  const char *text = JS_ToCString(ctx, exception), *where = JS_ToCString(ctx, stack);
  fprintf(stderr, "%s\n", where == NULL ? "" : where);
  die(text == NULL ? "exception" : text);
}

static void new_context(void) {
#ifdef LIBC_MALLOC
  heap.rt = JS_NewRuntime();
#else
  heap.rt = JS_NewRuntime2(&arena_functions, NULL);
#endif
  if (heap.rt == NULL) die("out of memory");
  // One short call: what is garbage in a cycle goes with the process.
  JS_SetGCThreshold(heap.rt, -1);
  JSContext *ctx = heap.ctx = JS_NewContextRaw(heap.rt);
  if (ctx == NULL) die("out of memory");
  JS_AddIntrinsicBaseObjects(ctx), JS_AddIntrinsicDate(ctx), JS_AddIntrinsicRegExp(ctx);
  JS_AddIntrinsicJSON(ctx), JS_AddIntrinsicMapSet(ctx), JS_AddIntrinsicTypedArrays(ctx);
  JSValue global = JS_GetGlobalObject(ctx), native = JS_NewObject(ctx);
  JS_SetPropertyFunctionList(ctx, native, functions, sizeof functions / sizeof *functions);
  static uint64_t inbox[4096]; // for the kernel's answers: takes no room in the file, and no call zeroes or copies it
  JS_SetPropertyStr(ctx, native, "inbox", JS_NewArrayBuffer(ctx, (uint8_t *)inbox, sizeof inbox, NULL, NULL, false));
  JS_SetPropertyStr(ctx, global, "native", native);
  JS_FreeValue(ctx, global);
}

static void boot(const uint8_t *bytecode, size_t size) {
  new_context();
  JSContext *ctx = heap.ctx;
  JSValue result = evaluate(ctx, bytecode, size);
  if (JS_IsException(result)) die_of_exception(ctx);
  JSValue global = JS_GetGlobalObject(ctx);
  heap.entry = JS_GetPropertyStr(ctx, global, "podnic");
  JSValue document = JS_GetPropertyStr(ctx, global, "podnicVersion");
  const char *text = JS_IsString(document) ? JS_ToCString(ctx, document) : NULL;
  if (text != NULL && strlen(text) < sizeof heap.version && strstr(text, "\"\"") != NULL) strcpy(heap.version, text);
  if (text != NULL) JS_FreeCString(ctx, text);
  JS_FreeValue(ctx, document);
  JS_FreeValue(ctx, global);
  if (!JS_IsFunction(ctx, heap.entry)) die("the bytecode defines no function podnic()");
}

// From here on the heap is what a call finds.
#if defined SNAPSHOT || defined TRAIN
static void freeze(void) {
  JS_RunGC(heap.rt);
  if (JS_FreezeHeap(heap.rt, heap.arena + ARENA) < 0) die("out of memory");
  heap.used = ARENA - (heap.pool.end - heap.pool.next);
#ifdef TRAIN
  note_in_use();
#endif
  // What a call allocates belongs together, not into the gaps between what is frozen: each page written to costs a page fault and a copy.
  memset(heap.pool.free, 0, sizeof heap.pool.free);
  heap.pool.next = heap.pool.end;
  heap.ready = 1;
}
#endif

#ifdef SNAPSHOT
// QuickJS seeds Math.random with it; two builds of one commit must be equal. (Math.random itself is removed by main.ts.)
int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
  (void)zone;
  struct timespec now = {0};
  if (heap.ready) clock_gettime(CLOCK_REALTIME, &now);
  *tv = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

static void snapshot(const char *plan_file) {
  size_t room = 16 << 20, size = 0;
  uint8_t *bytecode = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytecode == MAP_FAILED) die("out of memory");
  for (ssize_t n; (n = read(0, bytecode + size, room - size)) > 0;) size += n;
  FILE *in = plan_file == NULL ? NULL : fopen(plan_file, "r");
  if (in != NULL) {
    uint8_t *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) die("out of memory");
    planned = fread(all, 1, room, in);
    size_t wanted[2] = {0};
    for (int i = 0; planned >= 8 && i < 8; i++) wanted[i / 4] |= (size_t)all[i] << i % 4 * 8;
    if (wanted[0] + wanted[1] <= ARENA) warm_size = wanted[0], hot_size = wanted[1];
    planned -= planned >= 8 ? 8 : planned;
    plan = all + 8;
    warm = (struct pool){.next = heap.arena, .end = heap.arena + warm_size};
    hot = (struct pool){.next = heap.arena + ARENA - hot_size, .end = heap.arena + ARENA};
  }
  boot(bytecode, size);
  freeze();
  heap.address = (uintptr_t)&heap;
  heap.misplaced = passing;
  heap.mapped = 0;
  // The runtime remembers where the stack was, which is elsewhere each time. Nothing above our arguments: the stack may end at 2^47, and
  // the two numbers of a typed array at the beginning of its buffer of 32 KiB look like this address.
  uintptr_t low = (uintptr_t)__builtin_frame_address(0) - STACK, high = (uintptr_t)argument;
  for (uintptr_t *p = (uintptr_t *)&heap; p < (uintptr_t *)(&heap + 1); p++)
    if (*p >= low && *p < high) *p = 0;
  const char *p = (const char *)&heap, *end = p + sizeof heap;
  for (ssize_t n; p < end; p += n)
    if ((n = write(1, p, end - p)) <= 0) die("cannot write the snapshot");
  _exit(0);
}
#endif

static void touch(size_t size) {
  volatile char *room = __builtin_alloca(size);
  for (size_t i = 0; i < size; i += 4096) room[size - 1 - i] = 0;
}

// The kernel looks at the limit when the stack grows, so raising it now is early enough.
static size_t raise_stack(void) {
  if (getrlimit(RLIMIT_STACK, &stack_limit) != 0) return 1 << 20;
  struct rlimit limit = stack_limit;
  if (limit.rlim_cur < STACK) {
    limit.rlim_cur = limit.rlim_max < STACK ? limit.rlim_max : STACK;
    setrlimit(RLIMIT_STACK, &limit);
    getrlimit(RLIMIT_STACK, &limit);
  }
  size_t size = limit.rlim_cur < STACK ? limit.rlim_cur : STACK;
  // Where address space is scarce the heap may take what the stack would grow into, which is a signal and no error: taken first.
  struct rlimit space;
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur < 2 * LIMIT && size > SCARCE) touch(size = SCARCE);
  // Arguments and environment, up to a quarter of the limit, lie above us; the C functions between two checks below.
  const char *top = (const char *)environ;
  for (char **p = environ; *p != NULL; p++) top = *p + strlen(*p);
  size_t above = top - (const char *)__builtin_frame_address(0), kept = size / 8 + 4096;
  return above + kept < size ? size - above - kept : 1024;
}

int main(int argc, char **argv) {
  (void)argc;
  argument = argv;
#ifdef SNAPSHOT
  if (!heap.ready) snapshot(argv[1]);
  js_frozen_limit = (uintptr_t)(heap.arena + ARENA); // of the engine's own memory, which is not in the image
#else
  boot(main_bytecode, main_bytecode_end - main_bytecode);
#ifdef TRAIN
  freeze();
  FILE *learned = fopen(getenv("PODNIC_TRAINED"), "ae"); // now: a call gives up what it does not need
  if (learned == NULL) die("cannot write what was learned");
#endif
  heap.ready = 1;
#endif
#ifndef TRAIN
  answer_version(argv);
#endif
  JS_SetMaxStackSize(heap.rt, raise_stack());
  JS_UpdateStackTop(heap.rt);
  JSValue status = JS_Call(heap.ctx, heap.entry, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(status)) die_of_exception(heap.ctx);
#ifdef TRAIN
  report_written(learned);
#endif
  _exit(JS_VALUE_GET_TAG(status) == JS_TAG_INT ? JS_VALUE_GET_INT(status) : 1);
}
