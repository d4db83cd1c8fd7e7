"""SunSpec Modbus: model definitions, codec and the inverter driver."""
