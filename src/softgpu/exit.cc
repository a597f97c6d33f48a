// Nothing is torn down at exit: threads of the streams may still execute while the process ends, as a GPU would, and
// must not meet objects whose destructors have run. The linker binds the library's own registrations of static
// destructors, and no one else's, to this function.
extern "C" __attribute__((visibility("hidden"))) int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
