"""Message types of ISO 15118-20, one module per namespace, named and ordered as in the XSDs.

The class of a global element bears the element's name (``SessionSetupReq``), that of any other complex type the type's
(``MessageHeaderType``). To add a namespace, add a module that ends in ``exi.register`` and import it here.
"""

from pyiso15118.messages import ac, app_protocol, common_messages, common_types, dc, xmldsig
from pyiso15118.messages.namespaces import Namespace

__all__ = ["Namespace", "ac", "app_protocol", "common_messages", "common_types", "dc", "xmldsig"]
