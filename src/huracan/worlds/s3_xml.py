"""S3 ListObjects answers as XML."""

import hashlib
from xml.sax.saxutils import escape


def list_xml(
    prefix: str,
    delimiter: str,
    page: list[tuple[str, bytes | None, str]],
    *,
    cut: bool,
    most: int,
    after: str,
    second: bool,
) -> bytes:
    """One page: (key, bytes, modified) of every object, (key, None, "") of every folder; `cut` where more follow."""
    last = escape(page[-1][0]) if page else ""
    head = f"<Name>data.binance.vision</Name><Prefix>{escape(prefix)}</Prefix>"
    if second:
        head += f"<KeyCount>{len(page)}</KeyCount>"
        head += f"<NextContinuationToken>{last}</NextContinuationToken>" if cut else ""
    else:
        head += f"<Marker>{escape(after)}</Marker>" + (f"<NextMarker>{last}</NextMarker>" if cut else "")
    head += f"<MaxKeys>{most}</MaxKeys>" + (f"<Delimiter>{escape(delimiter)}</Delimiter>" if delimiter else "")
    head += f"<IsTruncated>{'true' if cut else 'false'}</IsTruncated>"
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{modified[:-1]}.000Z</LastModified>"
        f'<ETag>"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"</ETag>'
        f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key, data, modified in page
        if data is not None
    )
    folders = "".join(
        f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>" for key, data, _ in page if data is None
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{space}">{head}{contents}{folders}'
        "</ListBucketResult>"
    ).encode()
