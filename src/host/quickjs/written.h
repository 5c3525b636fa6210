// Included by native.c in the executable that the build trains with (scripts/build/train.ts): tells which blocks of the heap calls
// write to. It is compiled with -fsanitize=kernel-address and that option's parameters so set that each store calls one of the functions
// below. Writes of the C library and of the kernel are not seen; they go to buffers.
static uint32_t allocation_of[ARENA / 8 + 2]; // at the word where a block begins: how many were allocated before it
static bool written[ARENA / 8 + 2];
static bool in_use[ARENA / 8 + 2]; // likewise: when the snapshot was taken

#define QUIET __attribute__((no_sanitize("kernel-address")))

QUIET static size_t word_of(uintptr_t p) { return (p - (uintptr_t)heap.arena) / 8; }

QUIET static void note_written(uintptr_t p, size_t size) {
  if (p - (uintptr_t)heap.arena < ARENA)
    for (size_t i = word_of(p); i <= word_of(p + size - 1) && i < ARENA / 8; i++) written[i] = true;
}
#define STORE(size) \
  QUIET void __asan_store##size##_noabort(void *p) { note_written((uintptr_t)p, size); }
STORE(1) STORE(2) STORE(4) STORE(8) STORE(16)
QUIET void __asan_storeN_noabort(void *p, long size) { note_written((uintptr_t)p, size); }
QUIET void __asan_handle_no_return(void) {}

// All blocks but those that were let go.
QUIET static void note_in_use(void) {
  memset(written, 0, sizeof written);
  memset(in_use, true, sizeof in_use);
  for (int class = 0; class < CLASSES; class++)
    for (struct block *b = heap.pool.free[class]; b != NULL; b = b->next) in_use[word_of((uintptr_t)b)] = false;
}

// Appends to the file, 32 bits each: the numbers of the allocations that are in the snapshot, with the highest bit when written to.
QUIET static void report_written(FILE *out) {
  for (char *p = heap.arena; p < heap.arena + heap.used;) {
    struct block *b = (struct block *)p;
    size_t words = (b->size + 8) / 8, first = word_of((uintptr_t)p);
    uint32_t number = allocation_of[first] | (memchr(written + first, true, words) != NULL ? 1u << 31 : 0);
    if (in_use[first]) fwrite(&number, 4, 1, out);
    p += words * 8;
  }
  fclose(out);
}
