# make install: command, libraries, headers, pkg-config files, CMake package, man page and completions.
# The man page and the completions come from the command's own tables.
include(CMakePackageConfigHelpers)

set(GENERATED ${PROJECT_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${GENERATED})
add_custom_command(
  OUTPUT ${GENERATED}/crumb.1 ${GENERATED}/crumb ${GENERATED}/_crumb ${GENERATED}/crumb.fish
  COMMAND crumb manual > ${GENERATED}/crumb.1
  COMMAND crumb completion bash > ${GENERATED}/crumb
  COMMAND crumb completion zsh > ${GENERATED}/_crumb
  COMMAND crumb completion fish > ${GENERATED}/crumb.fish
  DEPENDS crumb
  VERBATIM)
add_custom_target(crumb_generated ALL DEPENDS ${GENERATED}/crumb.1)

file(RELATIVE_PATH CRUMB_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
configure_file(${PROJECT_SOURCE_DIR}/cmake/crumb.pc.in ${PROJECT_BINARY_DIR}/crumb.pc @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/cmake/crumb_run.pc.in ${PROJECT_BINARY_DIR}/crumb_run.pc @ONLY)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/crumbConfigVersion.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS crumb crumb_static)
install(TARGETS crumb_shared EXPORT crumb)
install(TARGETS crumb_run EXPORT crumb_run)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/crumb TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/crumb.pc ${PROJECT_BINARY_DIR}/crumb_run.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(EXPORT crumb NAMESPACE crumb:: FILE crumbTargets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crumb)
install(EXPORT crumb_run NAMESPACE crumb:: FILE crumb_runTargets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crumb)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/crumbConfig.cmake ${PROJECT_BINARY_DIR}/crumbConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/crumb)
install(FILES ${GENERATED}/crumb.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${GENERATED}/crumb DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${GENERATED}/_crumb DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${GENERATED}/crumb.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
