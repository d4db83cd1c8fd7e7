"""Which services there are, how each may be used, and which the vehicle takes."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace

from pyiso15118.der import functions_of, iec_bits
from pyiso15118.events import EnergyService
from pyiso15118.messages import common_messages as cm
from pyiso15118.protocols import protocol_of
from pyiso15118.secc.answers import Code, failed
from pyiso15118.secc.config import ParameterSet, ServiceOffer
from pyiso15118.secc.handlers_session import selected
from pyiso15118.secc.session import Reply, Situation
from pyiso15118.secc.transitions import Outcome


def offers(situation: Situation) -> tuple[ServiceOffer, ...]:
    """The energy services of the protocol agreed."""
    return tuple(o for o in situation.config.services if protocol_of(o.service) is situation.session.protocol)


def with_demands(parameter_set: ParameterSet, service: EnergyService, situation: Situation) -> ParameterSet:
    """AC_DER_IEC names the functions that the grid code asks for with each parameter set ([V2G20-3190])."""
    code = situation.session.grid_code or situation.config.grid_code
    if service is not EnergyService.AC_DER_IEC or code is None:
        return parameter_set
    demanded = ("DERControlFunctions", iec_bits(functions_of(code)))
    return dataclasses.replace(parameter_set, others=(*parameter_set.others, demanded))


def handle_service_discovery(request: cm.ServiceDiscoveryReq, situation: Situation) -> Reply:
    """The services of the protocol agreed, limited to those the vehicle names if any energy service of them is
    offered; value-added services strictly."""
    energy, value_added = offers(situation), situation.config.value_added
    if request.SupportedServiceIDs is not None:
        wanted = set(request.SupportedServiceIDs.ServiceID)
        energy = tuple(o for o in energy if o.service in wanted) or energy
        value_added = tuple(o for o in value_added if o.service_id in wanted)
    return Reply(
        response=cm.ServiceDiscoveryRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            ServiceRenegotiationSupported=situation.config.service_renegotiation,
            EnergyTransferServiceList=cm.ServiceListType(
                Service=[cm.ServiceType(ServiceID=int(o.service), FreeService=o.free) for o in energy]
            ),
            VASList=cm.ServiceListType(
                Service=[cm.ServiceType(ServiceID=o.service_id, FreeService=o.free) for o in value_added]
            )
            if value_added
            else None,
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


def handle_service_detail(request: cm.ServiceDetailReq, situation: Situation) -> Reply:
    """The parameter sets of one service; FAILED_ServiceIDInvalid for a service this EVSE does not have."""
    offer = next((o for o in offers(situation) if o.service == request.ServiceID), None)
    extra = situation.config.value_added_offer(request.ServiceID)
    if offer is not None:
        sets = [with_demands(s, offer.service, situation).to_message(offer.service) for s in offer.parameter_sets]
    elif extra is not None:
        sets = [s.to_message() for s in extra.parameter_sets]
    else:
        detail = f"ServiceDetailReq for service {request.ServiceID}, offered: {_offered(situation)}"
        return failed(request, Code.FAILED_ServiceIDInvalid, detail, situation)
    return Reply(
        response=cm.ServiceDetailRes(
            Header=situation.header,
            ResponseCode=Code.OK,
            ServiceID=request.ServiceID,
            ServiceParameterList=cm.ServiceParameterListType(ParameterSet=sets),
        ),
        session=situation.session,
        outcome=Outcome.DONE,
    )


def handle_service_selection(request: cm.ServiceSelectionReq, situation: Situation) -> Reply:
    """Fixes the services. FAILED_ServiceSelectionInvalid for what was not offered, value-added services included;
    FAILED_NoEnergyTransferServiceSelected where the energy service is a value-added one."""
    chosen = request.SelectedEnergyTransferService
    offer = next((o for o in offers(situation) if o.service == chosen.ServiceID), None)
    parameter_set = offer.parameter_set(chosen.ParameterSetID) if offer else None
    if offer is None or parameter_set is None:
        code = Code.FAILED_ServiceSelectionInvalid
        if situation.config.value_added_offer(chosen.ServiceID) is not None:
            code = Code.FAILED_NoEnergyTransferServiceSelected
        detail = (
            f"service {chosen.ServiceID} with parameter set {chosen.ParameterSetID} selected, "
            f"offered: {_offered(situation)}"
        )
        return failed(request, code, detail, situation)
    extras = request.SelectedVASList.SelectedService if request.SelectedVASList is not None else ()
    for extra in extras:
        if not _is_offered(extra, situation):
            detail = (
                f"value-added service {extra.ServiceID} with parameter set {extra.ParameterSetID} selected, "
                f"offered: {_offered(situation)}"
            )
            return failed(request, Code.FAILED_ServiceSelectionInvalid, detail, situation)
    value_added = tuple((extra.ServiceID, extra.ParameterSetID) for extra in extras)
    return Reply(
        response=cm.ServiceSelectionRes(Header=situation.header, ResponseCode=Code.OK),
        session=replace(situation.session, offer=offer, parameter_set=parameter_set, value_added=value_added),
        outcome=Outcome.DONE,
        events=(selected(offer, parameter_set, value_added),),
    )


def _is_offered(extra: cm.SelectedServiceType, situation: Situation) -> bool:
    offer = situation.config.value_added_offer(extra.ServiceID)
    return offer is not None and any(s.id == extra.ParameterSetID for s in offer.parameter_sets)


def _offered(situation: Situation) -> str:
    energy = [f"{o.service.value} with sets {[s.id for s in o.parameter_sets]}" for o in offers(situation)]
    extras = [f"{o.service_id} with sets {[s.id for s in o.parameter_sets]}" for o in situation.config.value_added]
    return ", ".join(energy + extras)
