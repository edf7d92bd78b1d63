//! Safe PJRT: plugins, clients, buffers, executables, sessions, generation.
