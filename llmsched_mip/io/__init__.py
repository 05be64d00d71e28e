"""Files in and out: documents and their schemas, messages, atomic writing, standard streams."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from llmsched_mip.io.files import (
        json_schema,
        parse_worker,
        read_bytes,
        read_instance,
        read_plan,
        read_worker_file,
        worker_file_document,
        worker_file_text,
        write_bytes,
        write_instance,
        write_plan,
    )

    __all__ = [
        "json_schema",
        "parse_worker",
        "read_bytes",
        "read_instance",
        "read_plan",
        "read_worker_file",
        "worker_file_document",
        "worker_file_text",
        "write_bytes",
        "write_instance",
        "write_plan",
    ]
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach(
        __name__,
        submod_attrs={
            "files": [
                "json_schema",
                "parse_worker",
                "read_bytes",
                "read_instance",
                "read_plan",
                "read_worker_file",
                "worker_file_document",
                "worker_file_text",
                "write_bytes",
                "write_instance",
                "write_plan",
            ]
        },
    )
