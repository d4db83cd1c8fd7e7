"""Message types of ISO 15118-20, one module per namespace, named and ordered as in the XSDs.

The class of a global element bears the element's name (``SessionSetupReq``), that of any other complex type the type's
(``MessageHeaderType``). To add a namespace, add a module that ends in ``exi.schema.register`` and import it here, or
name it below: few stations speak those, and the codec imports them when a message of theirs is first asked for.
"""

from pyiso15118.exi.schema import register_later
from pyiso15118.messages import ac, app_protocol, common_messages, common_types, dc, xmldsig
from pyiso15118.messages.namespaces import Namespace

__all__ = ["Namespace", "ac", "app_protocol", "common_messages", "common_types", "dc", "xmldsig"]

register_later(Namespace.WPT, "pyiso15118.messages.wpt")
register_later(Namespace.ACDP, "pyiso15118.messages.acdp")
register_later(Namespace.AC_DER_IEC, "pyiso15118.messages.ac_der_iec")
register_later(Namespace.AC_DER_SAE, "pyiso15118.messages.ac_der_sae")
