"""Reading of build logs as people paste them: from bytes to the step that failed, its lines and BuildKit's message."""
