// What a library says about itself before any kernel is called (see `_load` in __init__.py).
#include "common.h"

#ifndef KERNELS_VERSION  // compile.py gives it: a digest of sources and flags
#define KERNELS_VERSION "unknown"
#endif

KERNEL const char *kernels_version(void) { return KERNELS_VERSION; }

KERNEL const char *kernels_compiler(void) {
#ifdef __clang__
    return __VERSION__;  // begins with "Clang"
#else
    return "GCC " __VERSION__;
#endif
}
