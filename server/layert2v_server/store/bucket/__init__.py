"""Results and uploads in an S3-compatible bucket; only ``client`` knows the library for it.

    <prefix>/database_id                       the number of the database that it belongs to
    <prefix>/files/<job id>/<attempt>/<path>   results
    <prefix>/files/<job id>/source/<path>      what a waiting job starts from and is nowhere else
    <prefix>/uploads/<owner>/<upload id>       files of clients; the owner is a hash
    <prefix>/notes/<job id>-<attempt>.json     from which a finished job is registered again
    <prefix>/previews/<job id>.png             the newest preview

The database says which objects belong to what (``index``): several holders may share one, and an
object that nobody holds is removed after a grace time. A file of more than ``SEGMENT_BYTES`` is
several objects, so that nothing is ever half an object, in sight or out of sight.
"""
