//! Plans for bringing work across: upstream to workspace, workspace to project, project to workspace, workspace to origin.
