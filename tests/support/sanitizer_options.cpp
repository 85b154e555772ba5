/// What the sanitizers' runtime asks a test program for when it starts.

/// Up to GCC 13 the runtime takes a block of thread-local storage whose address happens to end in
/// 0x010 for one of an old glibc, reads a length that is not there, and crashes when it looks for
/// leaks at the end of a test that has passed. Without its hook for such storage leaks are found
/// all the same: the C library's own list of blocks leads to them.
extern "C" const char* __asan_default_options();   // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "intercept_tls_get_addr=0";
}
