"""Events from files through the guard's own estimation and trip code; loads through the thermal model."""
