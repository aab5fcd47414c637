# Fails if a kernel object defines a function that the linker may share with other tiers: a weak symbol outside the tier's
# namespace, for example an inline function of the standard library compiled with AVX-512 instructions.
#   cmake -DNM=nm -DOBJECT_LIST=list.txt -P CheckSymbols.cmake
file(READ ${OBJECT_LIST} objects)
if(NOT objects)
  message(FATAL_ERROR "no kernel objects to check")
endif()
foreach(object IN LISTS objects)
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
  foreach(line IN LISTS lines)
    if(line MATCHES " [WVu] " AND NOT line MATCHES "tinydl::(portable|avx2|avx512|amx)::|DW\\.ref\\.")
      message(SEND_ERROR "${object}: shared between tiers: ${line}")
    endif()
  endforeach()
endforeach()
list(LENGTH objects count)
message(STATUS "${count} kernel objects share no function between tiers")
