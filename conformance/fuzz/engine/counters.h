// Included at the top of a copy of quickjs.c (conformance/fuzz/build.ts) and by fuzz.c: counters of the edges of the JavaScript.
#include <stdint.h>
#include <stdio.h>

#define PODNIC_COUNTERS (1 << 16)
#define PODNIC_CODE ((size_t)16 << 20) // the bytecode lies in so many bytes from podnic_code

extern uint8_t podnic_counters[PODNIC_COUNTERS]; // libFuzzer reads and clears them
extern uint32_t podnic_edge_of[PODNIC_CODE];     // by place in the bytecode; 0: none (counters 0 and 1 take what they count)
extern uint32_t podnic_edges;                    // how many there are, and the two
extern const uint8_t *podnic_code;

#define PODNIC_EDGE(pc, outcome) (podnic_counters[podnic_edge_of[(pc) - podnic_code] + (outcome)]++)

// Two texts that JavaScript compared: what libFuzzer should try to write into the input.
void podnic_compared(const void *a, const void *b, unsigned length_a, unsigned length_b);
