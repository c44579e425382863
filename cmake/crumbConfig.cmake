# find_package(crumb): target crumb::crumb. find_package(crumb COMPONENTS run): also crumb::crumb_run, the half that only runs packed
# networks; a program links one of the two.
include(${CMAKE_CURRENT_LIST_DIR}/crumbTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/crumb_runTargets.cmake)
foreach(component IN LISTS crumb_FIND_COMPONENTS)
  if(component STREQUAL "run")
    set(crumb_run_FOUND TRUE)
  elseif(crumb_FIND_REQUIRED_${component})
    set(crumb_FOUND FALSE)
    set(crumb_NOT_FOUND_MESSAGE "crumb has no component ${component}; there is: run")
  endif()
endforeach()
