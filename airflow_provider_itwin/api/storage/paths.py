"""
Paths that files are read from and written to.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_text, is_template, shown
from airflow_provider_itwin.api.redaction import printable

_READ_ONLY = ("http", "https")


def checked_path(value: object, name: str = "path", *, is_rendered: bool = True) -> str:
    """
    Return `value` if it is an absolute path, or the URL of an object store.

    :param name: name of the parameter, for the error text
    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: for a relative path, and for a URL without a path, or that cannot be written to
    """
    path = checked_text(value, name, is_rendered=is_rendered)
    if is_template(path):
        raise ITwinInputError(
            f"{name} is {shown(path)}, which contains a template. A template is rendered once; a template in its result is not "
            "rendered."
        )
    if printable(path) != path:
        raise ITwinInputError(f"{name} is {shown(path)}, which contains characters that are not printable")
    scheme, is_url, rest = path.partition("://")
    if not is_url:
        check_absolute(path, name, "exports/")
        return path
    if scheme.lower() in _READ_ONLY:
        raise ITwinInputError(
            f"{name} is {shown(path)}, but nothing can be written to a web address. Use an object store."
        )
    if not scheme or "/" not in rest or rest.startswith("//"):
        raise ITwinInputError(
            f"{name} is {shown(path)}, which has no path in the object store. End it with '/' to keep the name of the file, as "
            "in s3://aws_default@bucket/."
        )
    return path


def checked_source(value: object, name: str = "source", *, is_rendered: bool = True) -> str:
    """
    Return `value` if it is an absolute path or pattern, or the URL of an object store.

    :param name: name of the parameter, for the error text
    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: for a relative path
    """
    source = checked_text(value, name, is_rendered=is_rendered)
    if "://" not in source:
        check_absolute(source, name, "designs")
    return source


def check_absolute(path: str, name: str, example: str) -> None:
    """
    Check that a path is absolute.

    :param name: name of the parameter, for the error text
    :param example: a path in a bucket, for the error text
    :raises ITwinInputError: for a relative path
    """
    if not path.startswith("/"):
        raise ITwinInputError(
            f"{name} is {shown(path)}, which is relative: a task runs in a folder of Airflow's choice. Use an absolute path, "
            f"or the URL of an object store, such as s3://aws_default@bucket/{example}."
        )


def is_folder(path: str) -> bool:
    """Return whether a path names the folder of a file, rather than the file."""
    return path.endswith("/")
