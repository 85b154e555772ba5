# Installs the build into an empty prefix, moves the prefix, and builds and runs the consumer against
# it. Run by ctest with -P; needs UNROLL_BUILD, WORK, GENERATOR, CXX, CXX_FLAGS and CONFIG.
cmake_minimum_required(VERSION 3.25)

function(must)
  list(JOIN ARGN " " shown)
  message(STATUS "${shown}")
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed with ${result}: ${shown}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
must(${CMAKE_COMMAND} --install ${UNROLL_BUILD} --prefix ${WORK}/staged --config ${CONFIG})
file(RENAME ${WORK}/staged ${WORK}/installed)  # a package that knows where it was would break here

# A user has the installed files alone: no header may need CUDA's, nor one that stayed behind.
file(GLOB_RECURSE headers ${WORK}/installed/include/unroll/*.h)
if(NOT headers)
  message(FATAL_ERROR "no public headers were installed")
endif()
foreach(header ${headers})
  file(WRITE ${WORK}/one_header.cpp "#include \"${header}\"\n")
  separate_arguments(flags UNIX_COMMAND "${CXX_FLAGS}")
  must(${CXX} ${flags} -std=c++20 -fsyntax-only -Wall -Wextra -Wconversion -Werror
    -I${WORK}/installed/include ${WORK}/one_header.cpp)
endforeach()

must(${WORK}/installed/bin/unroll --version)
must(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${WORK}/installed -DCMAKE_BUILD_TYPE=${CONFIG}
  -DCMAKE_CXX_COMPILER=${CXX} "-DCMAKE_CXX_FLAGS=${CXX_FLAGS}")
must(${CMAKE_COMMAND} --build ${WORK}/build --config ${CONFIG})
must(${WORK}/build/consumer)
