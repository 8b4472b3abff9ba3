"""The faces of libraries that are no longer kept, over Pellucid: change the import and go on working.

Nothing else in Pellucid imports these. What cannot be kept is refused in a sentence, never done otherwise in silence.
"""
