# The CUDA kernels, csrc/cuda/<family>.cu, and the modules made of them.
file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda csrc/cuda/*.cu)
list(TRANSFORM CUDA_SOURCES REPLACE "\\.cu$" "" OUTPUT_VARIABLE CUDA_FAMILIES)
set(CUDA_BINDINGS csrc/bind/cuda_module.cpp csrc/bind/activation.cpp csrc/bind/arrays.cpp
  csrc/bind/device_array.cpp)
set(bind_families "")
foreach(family IN LISTS CUDA_FAMILIES)
  list(APPEND CUDA_BINDINGS csrc/bind/${family}.cpp)
  string(APPEND bind_families "bind_${family}(m);\n")
endforeach()
if("loss" IN_LIST CUDA_FAMILIES)
  list(APPEND CUDA_BINDINGS csrc/bind/pair_loss.cpp)
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/cuda_families.inc CONTENT "${bind_families}")
file(GLOB SHARED_CORE CONFIGURE_DEPENDS csrc/core/*.cpp)

# tinydl._cuda_emulated: the same sources as ordinary C++ on NumPy arrays. Each .cu file is included by a .cpp, so that both modules
# can be built side by side.
if(TINYDL_CUDA_EMULATE)
  file(GLOB EMULATION CONFIGURE_DEPENDS csrc/cuda/emulation/*.cpp)
  foreach(family IN LISTS CUDA_FAMILIES ITEMS runtime/report)
    set(source ${CMAKE_BINARY_DIR}/emulated/${family}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"cuda/${family}.cu\"\n")
    list(APPEND EMULATED_SOURCES ${source})
  endforeach()
  pybind11_add_module(_cuda_emulated NO_EXTRAS ${EMULATED_SOURCES} ${EMULATION} ${CUDA_BINDINGS} ${SHARED_CORE})
  set_source_files_properties(${EMULATED_SOURCES} ${EMULATION} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_compile_definitions(_cuda_emulated PRIVATE TINYDL_CUDA TINYDL_CUDA_EMULATE TINYDL_MODULE=_cuda_emulated
    TINYDL_CUDA_ARCHITECTURES="")
  target_include_directories(_cuda_emulated PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_compile_options(_cuda_emulated PRIVATE -Wno-unknown-pragmas -O1)  # built to test, not to run for long
  target_link_libraries(_cuda_emulated PRIVATE tinydl_options tinydl_sanitizers ${CMAKE_DL_LIBS})
endif()

# tinydl._cuda: for the GPU, compiled by nvcc. A wheel has it only where asked for (-DTINYDL_CUDA=ON).
include(CheckLanguage)
if(NOT DEFINED TINYDL_CUDA AND NOT SKBUILD AND NOT TINYDL_SANITIZE)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(TINYDL_CUDA_FOUND ON)
  endif()
endif()
option(TINYDL_CUDA "Build the GPU's kernels with nvcc: tinydl._cuda" ${TINYDL_CUDA_FOUND})
if(TINYDL_CUDA)
  # Ampere, Hopper with its own instructions, and code that the driver compiles for what comes after.
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual CACHE STRING "GPUs to compile for")
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  set(CMAKE_CUDA_STANDARD 17)
  list(TRANSFORM CUDA_SOURCES PREPEND csrc/cuda/ OUTPUT_VARIABLE CUDA_FILES)
  file(GLOB CUDA_RUNTIME CONFIGURE_DEPENDS csrc/cuda/runtime/*.cpp)
  pybind11_add_module(_cuda NO_EXTRAS ${CUDA_FILES} csrc/cuda/runtime/report.cu ${CUDA_RUNTIME} ${CUDA_BINDINGS} ${SHARED_CORE})
  string(REPLACE ";" "," compiled_for "${CMAKE_CUDA_ARCHITECTURES}")
  set_target_properties(_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET hidden)
  set_source_files_properties(${CUDA_FILES} csrc/cuda/runtime/report.cu ${CUDA_RUNTIME} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_compile_definitions(_cuda PRIVATE TINYDL_CUDA TINYDL_MODULE=_cuda
    $<$<COMPILE_LANGUAGE:CXX>:TINYDL_CUDA_ARCHITECTURES="${compiled_for}">)
  target_compile_options(_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xptxas=-v>)
  target_include_directories(_cuda PRIVATE csrc ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(_cuda PRIVATE CUDA::cudart_static)
  install(TARGETS _cuda LIBRARY DESTINATION tinydl)
endif()
