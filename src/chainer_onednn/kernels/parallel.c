// The threads of oneDNN's own OpenMP, through pointers into it: a second pool would fight for the
// cores, and a compiler without OpenMP will do.
#include "common.h"

static struct {
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    void (*barrier)(void);
    int (*max_threads)(void), (*num_threads)(void), (*thread_num)(void);
} omp;

// Addresses of GOMP_parallel, GOMP_barrier, omp_get_max_threads, omp_get_num_threads and
// omp_get_thread_num in the OpenMP that oneDNN uses; before anything else.
KERNEL void kernels_start(void *parallel, void *barrier, void *max_threads, void *num_threads,
                          void *thread_num) {
    omp.parallel = parallel;
    omp.barrier = barrier;
    omp.max_threads = max_threads;
    omp.num_threads = num_threads;
    omp.thread_num = thread_num;
}

typedef struct {
    work *function;
    void *argument;
} region;

static void enter(void *given) {
    const region *r = given;
    r->function(r->argument, omp.thread_num(), omp.num_threads());
}

int count_threads(void) { return omp.max_threads(); }

void on_threads(work *function, void *argument) {
    region r = {function, argument};
    omp.parallel(enter, &r, 0, 0);
}

void meet(void) { omp.barrier(); }
