// Included by native.c in the executable that the build trains with (scripts/build/plan.ts): tells which blocks of the heap calls
// write to, and which they read. It is compiled with -fsanitize=kernel-address and that option's parameters so set that each access calls one
// of the functions below. Those of the C library and of the kernel are not seen: what they wrote is different afterwards.
static uint32_t allocation_of[ARENA / 8 + 2]; // at the word where a block begins: how many were allocated before it
static bool written[ARENA / 8 + 2], seen[ARENA / 8 + 2];
static bool in_use[ARENA / 8 + 2]; // likewise: when the snapshot was taken
static char before[ARENA];         // what was in it then

#define QUIET __attribute__((no_sanitize("kernel-address")))

QUIET static size_t word_of(uintptr_t p) { return (p - (uintptr_t)heap.arena) / 8; }

QUIET static void note(bool *words, uintptr_t p, size_t size) {
  if (p - (uintptr_t)heap.arena < ARENA)
    for (size_t i = word_of(p); i <= word_of(p + size - 1) && i < ARENA / 8; i++) words[i] = true;
}
#define ACCESS(size) \
  QUIET void __asan_store##size##_noabort(void *p) { note(written, (uintptr_t)p, size); } \
  QUIET void __asan_load##size##_noabort(void *p) { note(seen, (uintptr_t)p, size); }
ACCESS(1) ACCESS(2) ACCESS(4) ACCESS(8) ACCESS(16)
QUIET void __asan_storeN_noabort(void *p, long size) { note(written, (uintptr_t)p, size); }
QUIET void __asan_loadN_noabort(void *p, long size) { note(seen, (uintptr_t)p, size); }
QUIET void __asan_handle_no_return(void) {}

// All blocks but those that were let go.
QUIET static void note_in_use(void) {
  memset(written, 0, sizeof written);
  memset(seen, 0, sizeof seen);
  memcpy(before, heap.arena, ARENA);
  memset(in_use, true, sizeof in_use);
  for (int class = 0; class < CLASSES; class++)
    for (struct block *b = heap.pool.free[class]; b != NULL; b = b->next) in_use[word_of((uintptr_t)b)] = false;
}

// Appends to the file, 32 bits each: the number and the size of each allocation in the snapshot. The number's highest bit says that it was
// written to, the next that it was read.
QUIET static void report_written(FILE *out) {
  for (char *p = heap.arena; p < heap.arena + heap.used;) {
    struct block *b = (struct block *)p;
    size_t words = (b->size + 8) / 8, first = word_of((uintptr_t)p);
    bool hot = memchr(written + first, true, words) != NULL || memcmp(p, before + (p - heap.arena), words * 8) != 0;
    bool warm = memchr(seen + first, true, words) != NULL;
    uint32_t one[] = {allocation_of[first] | (uint32_t)hot << 31 | (uint32_t)warm << 30, words * 8};
    if (in_use[first]) fwrite(one, 4, 2, out);
    p += words * 8;
  }
  fclose(out);
}
