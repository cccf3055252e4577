"""Why tests read banks without naming evaluation studies."""

from ammrg.memory.held_out import Unchecked

UNCHECKED = Unchecked("a test looks at what was written")
