# Packages of what is installed: `cpack` in the build folder makes unroll_VERSION_ARCH.deb and
# unroll-VERSION-SYSTEM-PROCESSOR.tar.gz, which is unpacked anywhere.

set(CPACK_PACKAGE_NAME unroll)
set(CPACK_PACKAGE_VENDOR Unroll)
set(CPACK_PACKAGE_CONTACT "The Unroll developers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "A program and a C++ library for recurrent neural networks: language models,\n\
 classifiers, taggers and forecasters are trained, evaluated and asked.")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME unroll-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_GENERATOR TGZ)
set(CPACK_STRIP_FILES ON)

# Which packages of the system it needs is read from the files by Debian's own tools.
find_program(UNROLL_SHLIBDEPS dpkg-shlibdeps)
find_program(UNROLL_FILE file)
mark_as_advanced(UNROLL_SHLIBDEPS UNROLL_FILE)
if(UNROLL_SHLIBDEPS AND UNROLL_FILE)
  list(APPEND CPACK_GENERATOR DEB)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  # CUDA's libraries come from elsewhere, and only the CUDA module needs them.
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/lib)
endif()
include(CPack)
