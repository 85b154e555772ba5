# Installs the build into an empty prefix, moves the prefix, and builds and runs the examples against
# it. Run by ctest with -P; needs UNROLL_BUILD, EXAMPLES, WORK, GENERATOR, CXX, CXX_FLAGS and CONFIG.
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

# A user has only the installed files: no header may need CUDA's, nor one that stayed behind.
file(GLOB_RECURSE headers ${WORK}/installed/include/unroll/*.h)
if(NOT headers)
  message(FATAL_ERROR "no public headers were installed")
endif()
separate_arguments(flags UNIX_COMMAND "${CXX_FLAGS}")
set(compile ${CXX} ${flags} -std=c++20 -fsyntax-only -Wall -Wextra -Wconversion -Werror
  -I${WORK}/installed/include)
foreach(header ${headers})
  file(WRITE ${WORK}/one_header.cpp "#include \"${header}\"\n")
  must(${compile} ${WORK}/one_header.cpp)
endforeach()
if(EXISTS ${WORK}/installed/include/unroll/cuda_module.h)
  message(FATAL_ERROR "cuda_module.h was installed, which is between the library and its module")
endif()

must(${CXX} -x c -std=c99 -fsyntax-only -Wall -Wextra -Werror -pedantic
  ${WORK}/installed/include/unroll/c_api.h)

# unroll.h is all that a user includes, and it leaves out the interface that devices implement.
file(WRITE ${WORK}/seam.cpp "#include \"unroll/unroll.h\"\n")
execute_process(COMMAND ${compile} -H ${WORK}/seam.cpp ERROR_VARIABLE included)
if(included MATCHES "unroll/(backend.h|kernels/)" OR NOT included MATCHES "unroll/session.h")
  message(FATAL_ERROR "unroll.h includes, expected all but backend.h and kernels/:\n${included}")
endif()

# Feeding values of a type that no tensor has: one error, and it says what to do.
execute_process(COMMAND ${compile} ${CMAKE_CURRENT_LIST_DIR}/feed_of_unsigned.cpp
  RESULT_VARIABLE result ERROR_VARIABLE said)
string(REGEX MATCHALL "error: " errors "${said}")
list(LENGTH errors count)
if(result EQUAL 0 OR NOT count EQUAL 1 OR
    NOT said MATCHES "Unroll's tensors hold float, double, std::int32_t, std::int64_t or bool: convert")
  message(FATAL_ERROR "a feed of unsigned: got ${count} errors, expected one that explains:\n${said}")
endif()

must(${WORK}/installed/bin/unroll --version)
must(${CMAKE_COMMAND} -S ${EXAMPLES} -B ${WORK}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${WORK}/installed -DCMAKE_BUILD_TYPE=${CONFIG}
  -DCMAKE_CXX_COMPILER=${CXX} "-DCMAKE_CXX_FLAGS=${CXX_FLAGS}")
must(${CMAKE_COMMAND} --build ${WORK}/build --config ${CONFIG})
# What each example is given on its command line: a model that is made here, of a small text.
string(REPEAT "he ate the cake with the fork .\nthe dog saw the man with the fork .\nhe ate the cake .\n"
  60 text)
file(WRITE ${WORK}/text ${text})
execute_process(COMMAND ${WORK}/installed/bin/unroll train --device cpu --save ${WORK}/run
    --data ${WORK}/text --valid-fraction 0.1 --test-fraction 0
    --cache-dir ${WORK}/cache --nhid 16 --emsize 8 --nlayers 1 --dropout 0 --batch-size 2 --bptt 9
    --optimizer adam --lr 0.03 --epochs 3
  RESULT_VARIABLE result ERROR_VARIABLE said OUTPUT_QUIET)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "a small model could not be trained:\n${said}")
endif()
set(arguments_of_language_model ${WORK}/run)
set(arguments_of_softmax_regression ${EXAMPLES}/data/iris.csv)
set(arguments_of_bag_of_words ${EXAMPLES}/data/speeches.tsv)
# What each must print, at least: that it has learned.
set(result_of_language_model "P.fork . he ate the cake with the. = 0[.]9")
set(result_of_expression "a = 22[.]5   da/dc = 9[.]5\n")
set(result_of_softmax_regression "9[5-9][.][0-9] % of the flowers")
set(result_of_bag_of_words "test [7-9][0-9]")
set(result_of_time_series "iteration 5000  cost 0[.][01]")
set(result_of_word_boundaries "\nK [1-9][.0-9]+ i 0[.][01]")
set(result_of_gradient_norms "RNN, small weights .* 60: 10.-[0-9][0-9]")
set(result_of_mogrifier_lstm "batch 600  error 0[.]0[01]")
set(result_of_attentive_gru "batch 500  error 0[.]0[0-4]")
file(GLOB sources ${EXAMPLES}/*.cpp)
foreach(source ${sources})
  cmake_path(GET source STEM name)
  message(STATUS "${name}")
  execute_process(COMMAND ${WORK}/build/${name} ${arguments_of_${name}}
    RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT result EQUAL 0 OR NOT result_of_${name} OR NOT said MATCHES "${result_of_${name}}")
    message(FATAL_ERROR "${name} ended with ${result}, expected \"${result_of_${name}}\":\n${said}")
  endif()
endforeach()

# What the example of the language model says is what the program says.
execute_process(COMMAND ${WORK}/build/language_model ${WORK}/run OUTPUT_VARIABLE example)
execute_process(COMMAND ${WORK}/installed/bin/unroll predict --checkpoint ${WORK}/run
    --text "he ate the cake with the" --word fork OUTPUT_VARIABLE program ERROR_QUIET)
string(REGEX MATCH "= [0-9.]+" answer "${program}")
if(NOT answer OR NOT example MATCHES "with the. ${answer}\n")
  message(FATAL_ERROR "the example says\n${example}and the program\n${program}")
endif()
execute_process(COMMAND ${WORK}/build/language_model ${WORK}/nothing
  RESULT_VARIABLE result ERROR_VARIABLE said)
if(NOT result EQUAL 1 OR NOT said MATCHES "^[^\n]*nothing[^\n]*\n$")
  message(FATAL_ERROR "the example without a model: got ${result} and\n${said}")
endif()

# Its library shows no names of the engine or of the libraries that it is made with.
file(GLOB_RECURSE library ${WORK}/installed/libunroll_lm.so)
execute_process(COMMAND nm -DC --defined-only ${library} RESULT_VARIABLE result OUTPUT_VARIABLE names)
string(REGEX REPLACE "[^\n]* (unroll_[a-z_]*|unroll::(LanguageModel|NextTokens|TextScore)::[^\n]*)\n" "" others "${names}")
if(NOT result EQUAL 0 OR NOT names MATCHES "unroll::LanguageModel::load" OR others)
  message(FATAL_ERROR "libunroll_lm.so shows, beside the public classes and functions:\n${others}")
endif()
